//! The crash sweep as a program.
//!
//! ```text
//! crash --all             every operation of the script, cut in three ways and failed in three ways
//! crash --every N [SEED]  every Nth of that, beginning at SEED
//! crash --point POINT     one of it, as a failure names it: cut:123:torn, fail:7:12:once
//! ```
#![allow(clippy::expect_used, clippy::panic, reason = "test code stops at what cannot be")]

use daybook_tests::crash::sweep::{Point, Sweep};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let folder = std::env::temp_dir().join(format!("daybook-crash-{}", std::process::id()));
    let sweep = Sweep::new(&folder).expect("the script runs where nothing fails");
    let all = sweep.points();
    let number = |text: &str| text.parse::<usize>().expect("a number");
    let points: Vec<Point> = match words.as_slice() {
        ["--all"] => all,
        ["--every", n] => all.into_iter().step_by(number(n)).collect(),
        ["--every", n, seed] => all.into_iter().skip(number(seed) % number(n)).step_by(number(n)).collect(),
        ["--point", point] => vec![Point::parse(point).expect("a point")],
        _ => {
            eprintln!("crash --all | --every N [SEED] | --point POINT");
            return ExitCode::from(2);
        }
    };
    println!("{:?} operations of the script, {} points", sweep.kinds(), points.len());
    let wrong = sweep.try_all(&points, &|done| {
        if done.is_multiple_of(500) {
            println!("{done} of {}", points.len());
        }
    });
    for (point, what) in &wrong {
        println!("{what}\n  repeat: cargo run -p daybook-tests --bin crash -- --point {point}");
    }
    let _ = std::fs::remove_dir_all(&folder);
    println!("{} points, {} wrong", points.len(), wrong.len());
    ExitCode::from(u8::from(!wrong.is_empty()))
}
