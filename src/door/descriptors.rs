//! Descriptors: each connection is one, and so is each file. A service that runs out of them can write nothing.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::CONNECTIONS_MAX;

/// Kept for everything else: database, mirror, logs, the admin listener.
const RESERVED: u64 = 200;
/// With fewer connections than that a service is of no use.
const CONNECTIONS_MIN: usize = 16;

/// There are not enough descriptors for what was asked for.
#[derive(Debug, thiserror::Error)]
#[error(
    "the limit of open files is {limit}, which leaves {left} connections of {wanted}: raise it \
     (LimitNOFILE, ulimit -n), or set server.connections_max"
)]
pub struct TooFewDescriptors {
    limit: u64,
    left: u64,
    wanted: usize,
}

/// How many connections there may be: what was asked for, or what descriptors allow. Raises the process's limit as far
/// as the system lets it.
pub fn connections(asked: Option<usize>) -> Result<usize, TooFewDescriptors> {
    let known = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: known.maximum,
        maximum: known.maximum,
    };
    // Refused: then it stays as it is, and the next line counts with that.
    let _ = setrlimit(Resource::Nofile, raised);
    fit(asked, getrlimit(Resource::Nofile).current)
}

fn fit(asked: Option<usize>, limit: Option<u64>) -> Result<usize, TooFewDescriptors> {
    let limit = limit.unwrap_or(u64::MAX);
    let left = limit.saturating_sub(RESERVED);
    let may = usize::try_from(left).unwrap_or(usize::MAX);
    let wanted = asked.unwrap_or(CONNECTIONS_MIN);
    if may < wanted {
        return Err(TooFewDescriptors {
            limit,
            left,
            wanted,
        });
    }
    Ok(asked.unwrap_or(CONNECTIONS_MAX.min(may)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// O6: there are never more connections than descriptors, and who asks for more is told at the start.
    #[test]
    fn o6_connections_fit_the_descriptors() {
        for (asked, limit, expected) in [
            (None, None, Some(CONNECTIONS_MAX)),
            (None, Some(1_048_576), Some(CONNECTIONS_MAX)),
            (None, Some(1024), Some(824)),
            (None, Some(256), Some(56)),
            (None, Some(210), None),
            (Some(50), Some(256), Some(50)),
            (Some(57), Some(256), None),
            (Some(100_000), Some(1_048_576), Some(100_000)),
        ] {
            assert_eq!(fit(asked, limit).ok(), expected, "{asked:?} of {limit:?}");
        }
        let refused = fit(Some(2000), Some(1024)).unwrap_err().to_string();
        assert!(refused.starts_with("the limit of open files is 1024, which leaves 824"));
    }
}
