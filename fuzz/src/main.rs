//! The fuzzer's program: one for all targets, of which `LEAD_INTAKE_FUZZ_TARGET` names one. `./scripts/fuzz` runs it.
#![no_main]

use std::{env, process, sync::OnceLock};

use lead_intake::fuzzing::{self, Target};
use libfuzzer_sys::fuzz_target;

static TARGET: OnceLock<Target> = OnceLock::new();

/// The target that the environment names.
fn target() -> Target {
    let name = env::var("LEAD_INTAKE_FUZZ_TARGET").unwrap_or_default();
    fuzzing::TARGETS
        .iter()
        .find(|target| target.name == name)
        .copied()
        .unwrap_or_else(|| {
            eprintln!("LEAD_INTAKE_FUZZ_TARGET names no target");
            process::exit(2)
        })
}

fuzz_target!(|data: &[u8]| (TARGET.get_or_init(target).run)(data));
