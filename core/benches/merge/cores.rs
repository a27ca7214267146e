//! One core and two: the same runs taken in by a process that may use one core, and by one that may use all.

use super::Options;
use super::measure::median;
use super::memory;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

/// What a process said: its time by the wall, and its main thread's time on the processor.
struct Said {
    wall_s: f64,
    cpu_s: f64,
}

pub fn measure(options: &Options) -> Value {
    let folder = tempfile::tempdir_in(&options.folder).expect("a folder");
    let file = folder.path().join("runs");
    memory::write(&file, options.entries);
    let (mut one, mut two) = (Vec::new(), Vec::new());
    for _ in 0..options.runs {
        one.push(run(&file, true));
        two.push(run(&file, false));
    }
    let rate = |seconds: f64| options.entries as f64 / seconds;
    let walls = |all: &[Said]| median(all.iter().map(|said| said.wall_s));
    let cpus = |all: &[Said]| median(all.iter().map(|said| said.cpu_s));
    let least = |all: &[Said]| all.iter().map(|said| said.wall_s).fold(f64::INFINITY, f64::min);
    for (name, all) in [("one core", &one), ("all cores", &two)] {
        options.say(&format!(
            "cores: {} entries on {name}: {:.0} entries/s by the wall (best {:.0}), main thread {:.2} s of the processor",
            options.entries, rate(walls(all)), rate(least(all)), cpus(all)
        ));
    }
    let ratio = median(one.iter().zip(&two).map(|(one, two)| one.wall_s / two.wall_s));
    let best = least(&one) / least(&two);
    options.say(&format!(
        "  RATIO of all cores to one: {ratio:.2}x by the wall, median of {}; {best:.2}x of the best; main thread {:.2}x",
        options.runs, cpus(&one) / cpus(&two)
    ));
    json!({"all_entries_per_s": rate(walls(&two)), "one_wall_s": walls(&one), "all_wall_s": walls(&two), "ratio": ratio, "ratio_best": best})
}

fn run(file: &Path, one: bool) -> Said {
    let program = std::env::current_exe().expect("this program");
    let mut command = if one {
        let mut command = Command::new("taskset");
        command.args(["-c", "0"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    let output = command.env(memory::CHILD, file).output().expect("a child");
    // The book that the child made.
    std::fs::remove_dir_all(file.with_extension("book")).expect("a book");
    let said = String::from_utf8_lossy(&output.stdout);
    let said: Value = serde_json::from_str(said.lines().last().unwrap_or_default()).expect("figures of the child");
    let figure = |name: &str| said[name].as_f64().unwrap_or(f64::NAN);
    Said { wall_s: figure("wall_s"), cpu_s: figure("main_cpu_s") }
}
