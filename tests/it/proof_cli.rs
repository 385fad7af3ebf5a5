//! Receipts and checkpoints by the command line: kept in files, and verified without a server (A3, Art. 5(2)).

use std::{fs, path::PathBuf};

use lead_intake::{pb, token::Role};
use tempfile::TempDir;

use crate::{
    steps::*,
    support::{binary::Ran, *},
};

mod checkpoints;
mod receipts;
mod tampered;

/// A server with an erasure, and a directory for what an auditor keeps.
struct Office {
    world: World,
    replica: Replica,
    request_id: String,
    erased: Vec<String>,
    kept: TempDir,
}

impl Office {
    /// One person's three leads, of which one must stay, and their erasure.
    async fn new() -> Self {
        let world = World::new(Backend::Sqlite).await;
        let replica = world.start().await;
        let mut leads = Vec::new();
        for _ in 0..3 {
            leads.push(submit_mail(&replica, "kari@example.no").await);
            world.clock.advance_seconds(1);
        }
        pull_all(&mut replica.crm(), "", 0).await;
        let claim = pb::RestrictLeadRequest {
            request_id: new_id().to_string(),
            lead_id: leads.remove(1),
            reason: pb::RestrictionReason::ControllerLegalClaim.into(),
            ..Default::default()
        };
        replica.privacy().restrict_lead(claim).await.unwrap();
        Self {
            request_id: String::new(),
            erased: leads,
            kept: TempDir::new().unwrap(),
            world,
            replica,
        }
    }

    async fn erase(&mut self) {
        let erased = erase(&self.replica, "kari@example.no").await;
        self.request_id = erased.receipt.unwrap().request_id;
    }

    fn path(&self, name: &str) -> PathBuf {
        self.kept.path().join(name)
    }

    /// A command with the server and the token of a role. Names of files are replaced by their paths.
    async fn run(&self, role: Role, args: &[&str]) -> Ran {
        let url = format!("http://{}", self.replica.api);
        let token = self.replica.token(role);
        let envs = [("LEAD_INTAKE_URL", &*url), ("LEAD_INTAKE_TOKEN", token)];
        self.run_with(&envs, args).await
    }

    /// A command with nothing but the files.
    async fn offline(&self, args: &[&str]) -> Ran {
        self.run_with(&[("LEAD_INTAKE_URL", "http://127.0.0.1:1")], args)
            .await
    }

    async fn run_with(&self, envs: &[(&str, &str)], args: &[&str]) -> Ran {
        let path = |arg: &&str| match arg.strip_prefix('@') {
            Some(name) => self.path(name).to_str().unwrap().to_owned(),
            None => (*arg).to_owned(),
        };
        let args: Vec<String> = args.iter().map(path).collect();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        binary::run(envs, &args, "").await
    }

    /// Keeps the receipt in a file, and the public key in another.
    async fn keep(&self, more: &[&str]) {
        let id = &*self.request_id;
        let args = [&["receipt", id, "--output", "@receipt.json"], more].concat();
        // A client that had the leads has not acknowledged: that is a no, and the receipt is kept all the same.
        self.run(Role::Privacy, &args).await.with_code(3);
        let key = self.world.signer.verifier();
        fs::write(self.path("checkpoint.pub"), format!("{key}\n")).unwrap();
    }

    async fn keep_checkpoint(&self, name: &str) -> String {
        let ran = self
            .run(Role::Auditor, &["ledger", "checkpoint"])
            .await
            .with_code(0);
        fs::write(self.path(name), &ran.out).unwrap();
        ran.out
    }
}

const VERIFY: [&str; 5] = [
    "receipt",
    "verify",
    "@receipt.json",
    "--public-key",
    "@checkpoint.pub",
];
