//! How much memory the system could still provide. Checked before pages are reserved: an anonymous file has no size
//! limit of its own, so reserving too much would not fail; the kernel would start to kill processes.

use std::fs::read_to_string;

/// Bytes that can be reserved now: the host's available memory, at most the limit of our cgroups.
pub fn available_bytes() -> u64 {
    let host = read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| parse_meminfo(&text))
        .unwrap_or_else(physical_bytes);
    let cgroups = read_to_string("/proc/self/cgroup").unwrap_or_default();
    limit_files(&cgroups)
        .iter()
        .filter_map(|file| parse_limit(&read_to_string(file).ok()?))
        .fold(host, u64::min)
}

/// MemAvailable in bytes.
fn parse_meminfo(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

/// A cgroup's limit; None for "max" or an unreadable value.
fn parse_limit(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// The files that may hold a limit, for cgroup v2 and v1, as seen from the host and from inside a container.
fn limit_files(cgroups: &str) -> Vec<String> {
    let mut files = Vec::new();
    for line in cgroups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else {
            continue;
        };
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        for directory in ["", path.trim_end_matches('/')] {
            files.push(format!("{root}{directory}/{file}"));
        }
    }
    files
}

fn physical_bytes() -> u64 {
    // SAFETY: sysconf reads a constant of the system.
    let (pages, page_bytes) = unsafe { (libc::sysconf(libc::_SC_PHYS_PAGES), libc::sysconf(libc::_SC_PAGESIZE)) };
    pages.max(0) as u64 * page_bytes.max(0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_parsed() {
        assert_eq!(parse_meminfo("MemTotal: 8 kB\nMemAvailable:   3 kB\n"), Some(3072));
        assert_eq!(parse_meminfo("MemTotal: 8 kB\n"), None);
        assert_eq!((parse_limit("4096\n"), parse_limit("max\n")), (Some(4096), None));
        assert_eq!(
            limit_files("4:memory:/job\n3:cpu:/job\n0::/\n"),
            [
                "/sys/fs/cgroup/memory/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/job/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory.max",
                "/sys/fs/cgroup/memory.max"
            ]
        );
    }

    #[test]
    fn there_is_some_and_not_more_than_there_is() {
        assert!((1..=physical_bytes()).contains(&available_bytes()));
    }
}
