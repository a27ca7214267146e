//! Writes the committed corpus anew: of each target the valid samples, as recipes and, where they are short, as they
//! are. What a longer run found stays beside them.

use daybook_fuzz::samples::samples;
use std::fs;
use std::path::Path;

/// Longest sample that is committed as it is.
const BYTES_MAX: usize = 700;

fn main() -> std::io::Result<()> {
    let all = samples();
    let export = vec![all.export.clone()];
    let targets = [
        ("run", &all.runs),
        ("body", &all.bodies),
        ("control", &all.control),
        ("founding", &all.founding),
        ("code", &all.codes),
        ("entry", &all.bodies),
        ("control_entry", &all.control),
        ("export", &export),
        ("fhir", &all.fhir),
    ];
    for (target, samples) in targets {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/__fuzz__").join(target).join("corpus");
        fs::create_dir_all(&folder)?;
        for (number, sample) in samples.iter().enumerate().take(24) {
            let Ok(recipe) = u8::try_from(number) else { break };
            fs::write(folder.join(format!("sample-{number}")), [recipe])?;
            if sample.len() <= BYTES_MAX {
                fs::write(folder.join(format!("bytes-{number}")), [&[0x80][..], sample].concat())?;
            }
        }
    }
    // Frames: a run of the samples, roots, a want; then steps of two sessions of every kind; then kinds of damage.
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/__fuzz__");
    for (target, name, input) in [
        ("frame", "runs", [8_u8, 1, 0, 8, 1, 1, 9, 0, 10, 8, 1, 0, 0, 0, 0, 0, 0, 0].as_slice()),
        ("frame", "roots", &[2, 32, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19]),
        ("session_pair", "cut", &[3, 1, 0, 6, 0, 0, 0, 0, 40, 128, 0, 9, 7, 0, 3, 3, 255, 255]),
        ("session_pair", "flip", &[0, 0, 200, 4, 0, 7, 3, 2, 0, 135, 1, 5, 131, 1, 1, 5, 0, 3]),
        ("salvage", "whole", &[]),
        ("salvage", "flip", &[0, 5, 17, 3]),
        ("salvage", "pages", &[1, 3, 0, 0, 2, 9, 0, 20, 5, 30, 0, 0]),
        ("salvage", "cut", &[3, 40, 0, 0, 0x43, 1, 9, 0]),
        ("salvage", "gap", &[0x85, 0, 10, 0, 0x84, 0, 30, 0]),
        ("salvage", "tables", &[0x80 | 25, 0, 0, 0]),
    ] {
        let folder = folder.join(target).join("corpus");
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(name), input)?;
    }
    Ok(())
}
