//! The process itself: no copy of its memory gets out, it gets no more rights than it began with, and it takes no more
//! memory than it uses.
//!
//! Keys, tokens and people's data lie in memory. So there is no core file (`RLIMIT_CORE`), nobody of the same user reads
//! it by a debugger or `/proc` (`PR_SET_DUMPABLE`), and no program that it might start gains rights (`PR_SET_NO_NEW_PRIVS`).

use rustix::{
    process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit},
    thread::{disable_transparent_huge_pages, set_no_new_privs},
};

/// Closes the process. To be called before any other thread is there: what is set for one thread is inherited only.
pub fn close() {
    let nothing = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    // A system that refuses one of them is no reason to serve nobody; `check` could not help it either.
    let _ = setrlimit(Resource::Core, nothing);
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let _ = set_no_new_privs(true);
}

/// Leaves the process its small pages. In huge ones, for which the allocator asks, an idle heap of 9 MiB is one of 27
/// (docs/performance.md). To be called at the start: what is there by then stays as it is.
pub fn keep_small_pages() {
    // A system that knows no huge pages refuses.
    let _ = disable_transparent_huge_pages(true);
}
