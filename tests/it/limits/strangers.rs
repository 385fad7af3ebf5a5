//! Tokens that nobody knows: a flood of them reaches neither the database nor those who have a real one.

use lead_intake::{
    rpc::limits::{CallsPerSecond, Limits},
    token::{Role, Token},
};
use tokio::task::JoinSet;
use tonic::{Code, Status};

use super::{assert_refused, intake_as, notice, start};
use crate::support::*;

/// How many unknown tokens are looked up at once.
const BURST: u32 = 5;

/// Tries a well-formed token that nobody has.
async fn try_one(replica: &Replica) -> Status {
    let token = Token::generate(Role::Privacy).unwrap();
    let mut intake = intake_as(replica, token.expose());
    notice(&mut intake).await.unwrap_err()
}

/// Tries many; gives how many were looked up.
async fn flood(replica: &Replica) -> u32 {
    let mut looked_up = 0;
    for _ in 0..50 {
        let status = try_one(replica).await;
        if status.code() == Code::Unauthenticated {
            assert_eq!(reason(&status), "TOKEN_INVALID");
            looked_up += 1;
        } else {
            assert_refused(&status, "UNKNOWN_TOKENS_MAX");
        }
    }
    looked_up
}

on_both! {
    /// C.4: unknown tokens are looked up so often and no more; beyond that they are refused without the database. A
    /// client that calls for the first time while the flood goes on is known all the same, also one that was added in
    /// the midst of it, and its wrong neighbour is not.
    async fn a_flood_of_unknown_tokens_keeps_nobody_out(backend: Backend) {
        let world = World::new(backend).await;
        let unknown_tokens = Some(CallsPerSecond { steady: 1, burst: BURST });
        let replica = start(&world, Limits { unknown_tokens, ..Limits::default() }).await;
        let looked_up = flood(&replica).await;
        assert!((BURST..BURST + 40).contains(&looked_up), "{looked_up}");
        // Never seen by this server.
        for role in Role::ALL {
            notice(&mut intake_as(&replica, replica.token(role))).await.unwrap();
        }
        let added = world.new_token(&replica.store, "new-website", Role::Intake).await;
        let mut intake = intake_as(&replica, added.expose());
        eventually(async || {
            // Leaves nothing of what trickles in.
            while reason(&try_one(&replica).await) != "UNKNOWN_TOKENS_MAX" {}
            notice(&mut intake).await.ok()
        })
        .await;
        // Once known, for good: nothing of a flood is in its way.
        for _ in 0..20 {
            try_one(&replica).await;
            notice(&mut intake).await.unwrap();
        }
        replica.stop().await;
    }

    /// Clients of a server that has just started call with all they have at once, and are no flood: whatever their tokens
    /// are, each is looked up once, and beyond what is looked up all are read.
    async fn who_calls_a_new_server_at_once_is_no_flood(backend: Backend) {
        let world = World::new(backend).await;
        let unknown_tokens = Some(CallsPerSecond { steady: 1, burst: BURST });
        let replica = start(&world, Limits { unknown_tokens, ..Limits::default() }).await;
        let mut callers = Vec::new();
        for number in 0..2 * BURST {
            let name = format!("website-{number}");
            let token = world.new_token(&replica.store, &name, Role::Intake).await;
            callers.push(intake_as(&replica, token.expose()));
        }
        let mut calls = JoinSet::new();
        for intake in callers {
            for _ in 0..20 {
                let mut intake = intake.clone();
                calls.spawn(async move { notice(&mut intake).await });
            }
        }
        for answer in calls.join_all().await {
            answer.unwrap();
        }
        replica.stop().await;
    }
}
