//! Clocks, medians, and what the system says of this process.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Set for the process that runs pinned.
const PINNED: &str = "DAYBOOK_BENCH_PINNED";

/// Runs this program again on one core, unless it has only one; false if that is not possible here.
pub fn pin() -> bool {
    let allowed = status("Cpus_allowed_list:").unwrap_or_default();
    let one = allowed.parse::<u32>().is_ok();
    if one || std::env::var_os(PINNED).is_some() {
        return one;
    }
    let core = allowed.split([',', '-']).next().unwrap_or("0").to_owned();
    if let Ok(program) = std::env::current_exe() {
        // Returns only if there is no taskset.
        let _ = Command::new("taskset")
            .args(["-c", &core])
            .arg(program)
            .args(std::env::args_os().skip(1))
            .env(PINNED, "1")
            .exec();
    }
    false
}

/// A line of this process's status.
fn status(name: &str) -> Option<String> {
    status_of("self", name)
}

fn status_of(process: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line[name.len()..].trim().to_owned())
}

/// Greatest resident memory of this process so far, in bytes; 0 where the system does not say.
pub fn peak_memory() -> u64 {
    kib(status("VmHWM:"))
}

/// The same of another process.
pub fn peak_of(process: u32) -> u64 {
    kib(status_of(&process.to_string(), "VmHWM:"))
}

fn kib(text: Option<String>) -> u64 {
    text.and_then(|text| text.split(' ').next()?.parse::<u64>().ok()).unwrap_or(0) * 1_024
}

/// Lets the system forget what it keeps in memory of the files of a folder; false where it does not say that it did.
pub fn forget_cached(folder: &Path) -> bool {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    files.map(|file| file.path()).all(|path| {
        // Changed pages cannot be forgotten before they are written.
        let written = std::fs::File::open(&path).and_then(|file| file.sync_all());
        let input = format!("if={}", path.display());
        let dropped = Command::new("dd").args([&input, "iflag=nocache", "count=0", "status=none"]).status();
        written.is_ok() && dropped.is_ok_and(|status| status.success())
    })
}

/// Begins the count of [`peak_memory`] anew, where the system allows that.
pub fn forget_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// Processor and cores, as the system names them.
pub fn machine() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|l| l.strip_prefix("model name")).unwrap_or("unknown processor");
    let cores = text.lines().filter(|line| line.starts_with("processor")).count();
    format!("{} ({cores} cores)", name.trim_start_matches(['\t', ' ', ':']))
}

/// What something took.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Took {
    /// By the clock on the wall.
    pub wall: Duration,
    /// On the processor, this thread alone; equal to `wall` where the system does not say.
    pub cpu: Duration,
    /// On the processor, all threads together, in steps of 10 ms; equal to `cpu` where the system does not say.
    pub all_cpu: Duration,
}

/// Runs `work` and says what it took.
pub fn took<T>(work: impl FnOnce() -> T) -> (T, Took) {
    let (start, cpu, all_cpu) = (Instant::now(), on_cpu(), all_on_cpu());
    let value = work();
    let wall = start.elapsed();
    let cpu = on_cpu().zip(cpu).map_or(wall, |(after, before)| after.saturating_sub(before));
    let all_cpu = all_on_cpu().zip(all_cpu).map_or(cpu, |(after, before)| after.saturating_sub(before));
    (value, Took { wall, cpu, all_cpu })
}

/// Time of all threads of this process, those that ended too: fields 14 and 15 of its status, in hundredths of a second.
fn all_on_cpu() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields = text.rsplit_once(") ")?.1.split(' ').skip(11).take(2);
    let hundredths: u64 = fields.map(|field| field.parse::<u64>().unwrap_or(0)).sum();
    Some(Duration::from_millis(hundredths * 10))
}

fn on_cpu() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(Duration::from_nanos(text.split(' ').next()?.parse().ok()?))
}

/// Adds the time of `work` on the processor to `sum`; for pieces of a millisecond and more.
pub fn into<T>(sum: &mut Duration, work: impl FnOnce() -> T) -> T {
    let (value, time) = took(work);
    *sum += time.cpu;
    value
}

/// The middle of some figures.
pub fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.into_iter().collect();
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    match (figures.get(middle), figures.len() % 2) {
        (Some(upper), 0) => figures.get(middle.wrapping_sub(1)).map_or(*upper, |lower| f64::midpoint(*lower, *upper)),
        (Some(one), _) => *one,
        (None, _) => f64::NAN,
    }
}

/// The figure below which 95 in 100 lie.
pub fn p95(figures: &[f64]) -> f64 {
    let mut figures = figures.to_vec();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() * 95 / 100).copied().unwrap_or(f64::NAN)
}

/// Bytes of all files in a folder.
pub fn bytes_in(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).map(|data| data.len()).sum()
}
