//! The process itself, by the names that Prometheus's own libraries give it. Read from `/proc` when somebody asks;
//! where there is none, nothing is shown.

use std::fs;

use metrics::gauge;

/// Of a second: what `/proc` counts processor time in, on every Linux that runs this program.
const TICKS: f64 = 100.0;

/// Shows how many calls are under way.
pub fn show_calls_under_way(count: usize) {
    gauge!("lead_intake_calls_under_way").set(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
}

/// Sets the gauges of the process.
pub fn show_process() {
    if let Some(seconds) = read("stat").as_deref().and_then(cpu_seconds) {
        gauge!("process_cpu_seconds_total").set(seconds);
    }
    if let Some(status) = read("status") {
        if let Some(kilobytes) = field(&status, "VmRSS:") {
            gauge!("process_resident_memory_bytes").set(kilobytes * 1024.0);
        }
        if let Some(threads) = field(&status, "Threads:") {
            gauge!("process_threads").set(threads);
        }
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        // One of them is this very list's.
        let open = u32::try_from(open.count()).unwrap_or(u32::MAX);
        gauge!("process_open_fds").set(f64::from(open.saturating_sub(1)));
    }
    if let Some(max) = read("limits").and_then(|text| field(&text, "Max open files")) {
        gauge!("process_max_fds").set(max);
    }
}

fn read(name: &str) -> Option<String> {
    fs::read_to_string(format!("/proc/self/{name}")).ok()
}

/// The number after a name at the beginning of a line.
fn field(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Processor time, by the fields `utime` and `stime`. The program's name comes before them, in parentheses, and may
/// hold anything.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names with blanks and parentheses move no field.
    #[test]
    fn processor_time_is_read_after_the_name() {
        let stat = "42 (lead ) intake) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0";
        assert_eq!(cpu_seconds(stat), Some(2.0));
        assert_eq!(cpu_seconds("42 (lead-intake) S 1"), None);
    }

    #[test]
    fn a_limit_is_read_and_no_limit_is_none() {
        let limits = "Max file size  unlimited unlimited bytes\nMax open files            1024   4096   files\n";
        assert_eq!(field(limits, "Max open files"), Some(1024.0));
        assert_eq!(
            field(
                "Max open files   unlimited   unlimited   files",
                "Max open files"
            ),
            None
        );
    }
}
