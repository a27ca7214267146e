//! `drill`: the main job in one command, with nothing to prepare.
//!
//! Owns the order of an exercise: devices are admitted, share the patients, write a shift while apart, meet,
//! and are compared. Owns no rule: every act goes through the facade that the other commands use.

mod folder;
mod meetings;
mod record;
mod report;
mod team;
mod workload;

use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;

use crate::context::{Answer, Context};
use crate::failure::{Failure, Kept, Kind};
use folder::Folder;
use meetings::{Meeting, meet};
use record::record;
use report::{Compared, Known, Report};
use team::{DEVICES_MAX, Device, enrol};
use workload::{Act, Plan, draw};

/// Bytes with which two devices get to know each other before anything travels, about.
const GREETING_BYTES: u64 = 3_000;
const DEVICES_MIN: usize = 2;
const PATIENTS_MIN: usize = 4;
const PATIENTS_MAX: usize = 5_000;

/// Rehearse: several devices of an exercise write apart, meet, and are compared
#[derive(Debug, Args)]
#[command(after_help = "\
Needs nothing and leaves nothing behind, unless --keep names a folder for the books. All people are made up.
While apart, two devices hand out the same to one patient, one does not know of an allergy, two change one
record, and one clock is wrong. One connection is cut half way and goes on. Fails if the books differ at the end.

Example:
  daybook drill --patients 8")]
pub struct Drill {
    /// Patients that all know before the shift, 4 to 5,000
    #[arg(long, value_name = "N", default_value_t = 24)]
    patients: usize,
    /// Devices, 2 to 12
    #[arg(long, value_name = "N", default_value_t = 3)]
    devices: usize,
    /// Which shift is drawn; keys are always new
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Keep the books in this new folder, with their passphrase in a file beside them
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// For tests: after the shift this device stores what comes and does not merge it, and the drill must fail
    #[arg(long, value_name = "DEVICE", hide = true)]
    without_merge: Option<usize>,
}

/// Runs it.
///
/// # Errors
/// When numbers are out of bounds, the folder cannot be used, or the books differ at the end.
pub fn run(args: &Drill, context: &mut Context) -> Answer {
    check(args)?;
    let began = Instant::now();
    let folder = Folder::new(args.keep.as_deref())?;
    let passphrase = folder.passphrase()?;
    let plan = draw(args.seed, args.patients, args.devices);
    let incident = format!("Drill {}", args.seed);
    context.mark(&incident, true);
    let mut devices = enrol(&incident, folder.path(), &plan.clocks_off_ms, &passphrase)?;
    let compared = exercise(&plan, &mut devices, args.without_merge, context)?;
    let report = Report {
        seed: args.seed,
        patients: args.patients,
        devices: &devices,
        compared,
        ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        kept: folder.kept(),
    };
    let reply = report.reply();
    if report.compared.same() {
        return Ok(reply);
    }
    let seed = args.seed;
    let next =
        format!("please report this; `daybook drill --seed {seed} --keep DIR` keeps the books for a closer look");
    let failure = Failure::new("books-differ", Kind::Bug, "the books of the drill differ although all have met");
    Err(failure.saved(Kept::Everything).then(next).showing(reply))
}

fn check(args: &Drill) -> Result<(), Failure> {
    let bounded = |what: &str, number: usize, least: usize, most: usize| {
        if (least..=most).contains(&number) {
            return Ok(());
        }
        let most = if most == PATIENTS_MAX { "5,000".to_owned() } else { most.to_string() };
        Err(Failure::usage("usage", format!("a drill has {least} to {most} {what}"))
            .then(format!("give such a number after --{what}")))
    };
    bounded("patients", args.patients, PATIENTS_MIN, PATIENTS_MAX)?;
    bounded("devices", args.devices, DEVICES_MIN, DEVICES_MAX)
}

/// All that happens, from the first patient to the comparison.
fn exercise(
    plan: &Plan,
    devices: &mut [Device],
    without_merge: Option<usize>,
    context: &Context,
) -> Result<Compared, Failure> {
    let mut progress = context.progress("acts");
    let total = (plan.before.len() + plan.shift.len()) as u64;
    let mut rows = Vec::new();
    let mut write = |acts: &[Act], devices: &mut [Device]| -> Result<(), Failure> {
        for act in acts {
            let device = devices.get_mut(act.device - 1).ok_or_else(no_device)?;
            rows.push(record(act, device)?);
            progress.at(rows.len() as u64, Some(total));
        }
        Ok(())
    };
    write(&plan.before, devices)?;
    let mut shared = Vec::new();
    for caller in 2..=devices.len() {
        shared.push(between(devices, caller, 1, None)?);
    }
    let sizes = devices.iter_mut().map(log_bytes).collect::<Result<Vec<u64>, Failure>>()?;
    write(&plan.shift, devices)?;
    progress.end();
    for device in devices.iter_mut() {
        device.book()?.write_readings()?;
    }
    let before = devices.iter_mut().map(Known::of).collect::<Result<Vec<Known>, Failure>>()?;
    if let Some(number) = without_merge {
        one(devices, number)?.book()?.stop_merging()?;
    }
    let met = all_meet(devices, &sizes)?;
    let after = devices.iter_mut().map(Known::of).collect::<Result<Vec<Known>, Failure>>()?;
    let digests = devices.iter_mut().map(report::digest).collect::<Result<_, Failure>>()?;
    let findings = devices.first_mut().ok_or_else(no_device)?.book()?.findings(false)?;
    Ok(Compared { rows, prepared: plan.before.len(), shared, met, before, after, digests, findings })
}

/// Who meets whom until all have met: everybody the next, and the last, who knows all, everybody else.
fn pairs(devices: usize) -> Vec<(usize, usize)> {
    let onward = (2..=devices).map(|caller| (caller, caller - 1));
    let back = (1..devices.saturating_sub(1)).map(|caller| (caller, devices));
    onward.chain(back).collect()
}

/// Lets all meet; the first connection is cut half way and taken up again.
fn all_meet(devices: &mut [Device], sizes: &[u64]) -> Result<Vec<Meeting>, Failure> {
    let mut met = Vec::new();
    for (caller, server) in pairs(devices.len()) {
        if met.is_empty() {
            let mut to_move = 0;
            for number in [caller, server] {
                let before = sizes.get(number - 1).copied().unwrap_or_default();
                to_move += log_bytes(one(devices, number)?)?.saturating_sub(before);
            }
            met.push(between(devices, caller, server, Some(GREETING_BYTES + to_move / 2))?);
        }
        met.push(between(devices, caller, server, None)?);
    }
    Ok(met)
}

fn between(devices: &mut [Device], caller: usize, server: usize, cut_after: Option<u64>) -> Result<Meeting, Failure> {
    let calling = one(devices, caller)?.give()?;
    let serving = one(devices, server)?.give()?;
    meet((caller, calling), (server, serving), cut_after)
}

fn one(devices: &mut [Device], number: usize) -> Result<&mut Device, Failure> {
    devices.get_mut(number - 1).ok_or_else(no_device)
}

fn no_device() -> Failure {
    Failure::new("bug", Kind::Bug, "a drill has no such device")
}

/// Bytes of all entries of a book as they travel, about.
fn log_bytes(device: &mut Device) -> Result<u64, Failure> {
    let mut counted = Counted(0);
    device.book()?.export_log(&mut counted)?;
    Ok(counted.0)
}

/// Counts what is written to it.
struct Counted(u64);

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn after_the_meetings_everybody_knows_what_anybody_knew() {
        for devices in DEVICES_MIN..=DEVICES_MAX {
            let mut knows: Vec<BTreeSet<usize>> = (1..=devices).map(|device| BTreeSet::from([device])).collect();
            for (one, other) in pairs(devices) {
                let both: BTreeSet<usize> = knows[one - 1].union(&knows[other - 1]).copied().collect();
                knows[one - 1].clone_from(&both);
                knows[other - 1] = both;
            }
            assert!(knows.iter().all(|known| known.len() == devices), "{devices}: {knows:?}");
        }
    }
}
