//! Processor time and memory of processes, from Linux's `/proc`.

use std::{fs, time::Duration};

use anyhow::Context as _;

/// `/proc` counts in ticks of 10 ms on every Linux (`USER_HZ`).
const TICKS_PER_SECOND: u64 = 100;

/// What `/proc/PID/stat` says of a process.
pub(crate) struct Times {
    /// Its parent.
    pub(crate) parent: u32,
    /// User and system time of all its threads.
    pub(crate) own: Duration,
    /// The same of its children that have ended.
    pub(crate) reaped: Duration,
}

/// The times of a process so far.
pub(crate) fn times(pid: u32) -> anyhow::Result<Times> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))
        .with_context(|| format!("process {pid}"))?;
    // The second field is the program's name in brackets and may hold anything; ours begin after it.
    let (_, rest) = stat.rsplit_once(") ").context("/proc/PID/stat")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let field = |place: usize| -> anyhow::Result<u64> {
        let text = fields.get(place).context("/proc/PID/stat")?;
        Ok(text.parse()?)
    };
    let ticks = |count: u64| Duration::from_millis(count * 1000 / TICKS_PER_SECOND);
    // proc_pid_stat(5): state is field 3 and our 0; ppid is 4, utime 14, stime 15, cutime 16, cstime 17.
    Ok(Times {
        parent: u32::try_from(field(1)?)?,
        own: ticks(field(11)? + field(12)?),
        reaped: ticks(field(13)? + field(14)?),
    })
}

/// The time of a process and of all children that it has or had.
pub(crate) fn family(pid: u32) -> anyhow::Result<Duration> {
    let Times { own, reaped, .. } = times(pid)?;
    let mut sum = own + reaped;
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(child) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // A process that ended meanwhile is counted by its parent from now on.
        if let Ok(times) = times(child)
            && times.parent == pid
        {
            sum += times.own;
        }
    }
    Ok(sum)
}

/// The resident memory of a process, in bytes.
pub(crate) fn memory(pid: u32) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    // Said in kB, which are KiB.
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kib: u64 = kib.context("/proc/PID/status")?.parse()?;
    Ok(kib * 1024)
}
