//! What a drill found, for people and for scripts.

use std::collections::BTreeMap;
use std::path::Path;

use daybook_core::clock::DAY_MS;
use daybook_core::daybook::FindingView;
use serde_json::{Map, Value, json};

use super::folder::PASSPHRASE_FILE;
use super::meetings::Meeting;
use super::record::Row;
use super::team::Device;
use crate::failure::Failure;
use crate::output::Reply;
use crate::show::table::Table;
use crate::show::text::safe;
use crate::show::{json, meeting};

/// What one book knows at a moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Known {
    entries: u64,
    patients: u64,
    open_findings: u64,
}

impl Known {
    /// What a device's book knows now.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of(device: &mut Device) -> Result<Self, Failure> {
        let status = device.book()?.status()?;
        Ok(Self { entries: status.entries.total, patients: status.patients, open_findings: status.open_findings })
    }

    fn json(self) -> Value {
        json!({"entries": self.entries, "patients": self.patients, "open_findings": self.open_findings})
    }
}

/// One hash per compartment.
pub type Digest = BTreeMap<String, String>;

/// The digest of a device's book.
///
/// # Errors
/// When it cannot be read.
pub fn digest(device: &mut Device) -> Result<Digest, Failure> {
    Ok(device.book()?.digest()?.into_iter().collect())
}

/// All that happened and how the books stand.
pub struct Compared {
    /// Acts in the order in which they were written.
    pub rows: Vec<Row>,
    /// How many of them were written before all parted.
    pub prepared: usize,
    /// Connections before the shift.
    pub shared: Vec<Meeting>,
    /// Connections after the shift; the first was cut.
    pub met: Vec<Meeting>,
    /// What each knew before they met again.
    pub before: Vec<Known>,
    /// What each knew afterwards.
    pub after: Vec<Known>,
    /// The digest of each.
    pub digests: Vec<Digest>,
    /// What the first device's book wants a person to look at.
    pub findings: Vec<FindingView>,
}

impl Compared {
    /// Whether all books hold the same records.
    #[must_use]
    pub fn same(&self) -> bool {
        self.digests.windows(2).all(|two| two.first() == two.last())
    }
}

/// A drill and its surroundings.
pub struct Report<'a> {
    /// The seed.
    pub seed: u64,
    /// Patients that all knew before the shift.
    pub patients: usize,
    /// The devices.
    pub devices: &'a [Device],
    /// What happened.
    pub compared: Compared,
    /// How long all of it took.
    pub ms: u64,
    /// Where the books stay.
    pub kept: Option<&'a Path>,
}

impl Report<'_> {
    /// The answer.
    #[must_use]
    pub fn reply(&self) -> Reply {
        Reply::new(self.json(), self.text())
    }

    fn json(&self) -> Value {
        let compared = &self.compared;
        let same = compared.same();
        let digest = compared.digests.first().filter(|_| same).map(json_digest);
        json!({
            "seed": self.seed,
            "patients": self.patients,
            "devices": self.json_devices(),
            "acts": compared.rows.iter().map(|row| &row.json).collect::<Vec<_>>(),
            "shared": json::list(&compared.shared, Meeting::json),
            "meetings": json::list(&compared.met, Meeting::json),
            "findings": json::list(&compared.findings, json::finding),
            "same": same,
            "digest": digest,
            "ms": self.ms,
            "kept": self.kept.map(Path::to_string_lossy),
        })
    }

    fn json_devices(&self) -> Vec<Value> {
        let compared = &self.compared;
        let known = self.devices.iter().zip(&compared.before).zip(&compared.after).zip(&compared.digests);
        known
            .map(|(((device, before), after), digest)| {
                json!({
                    "number": device.number,
                    "person": device.person,
                    "organisation": device.organisation,
                    "clock_off_days": device.clock_off_ms / DAY_MS,
                    "book": self.kept.map(|_| device.folder.to_string_lossy()),
                    "before": before.json(),
                    "after": after.json(),
                    "digest": json_digest(digest),
                })
            })
            .collect()
    }

    fn text(&self) -> String {
        let mut text = format!(
            "{} devices of 2 organisations were admitted by their codes and shared {} patients.\n\
             Then they were apart, and each wrote down its shift:\n\n",
            self.devices.len(),
            self.patients,
        );
        text.push_str(&self.apart());
        text.push_str("\nThen they met, two at a time:\n\n");
        text.push_str(&self.meetings());
        text.push_str(&self.found());
        text.push_str(&self.comparison());
        text.push_str(&format!("\nseed {}, {}", self.seed, meeting::time(self.ms)));
        if let Some(kept) = self.kept {
            let kept = safe(&kept.to_string_lossy());
            text.push_str(&format!(
                "\n\nThe books stay in {kept}. To look into one:\n  \
                 daybook --book {kept}/device-1 --passphrase-file {kept}/{PASSPHRASE_FILE} findings"
            ));
        }
        text
    }

    /// What each knew before they met.
    fn apart(&self) -> String {
        let mut table = Table::new(&[
            ("DEVICE", 6),
            ("WHO", 40),
            ("CLOCK", 16),
            ("WROTE", 6),
            ("HELD BACK", 9),
            ("ENTRIES", 8),
            ("PATIENTS", 8),
            ("FINDINGS", 8),
        ]);
        let shift = |device: usize, written: bool| {
            let of = |row: &&Row| row.device == device && row.written == written;
            self.compared.rows.iter().skip(self.compared.prepared).filter(of).count().to_string()
        };
        for (device, before) in self.devices.iter().zip(&self.compared.before) {
            table.row(&[
                &device.number.to_string(),
                &format!("{}, {}", device.person, device.organisation),
                &clock(device),
                &shift(device.number, true),
                &shift(device.number, false),
                &before.entries.to_string(),
                &before.patients.to_string(),
                &before.open_findings.to_string(),
            ]);
        }
        let note = "HELD BACK: not handed out, because the device itself warned.\n";
        table.to_text() + note
    }

    fn meetings(&self) -> String {
        let mut table =
            Table::new(&[("DEVICES", 9), ("ENTRIES THERE", 14), ("AND BACK", 8), ("BYTES", 14), ("TIME", 8), ("", 60)]);
        let mut cut_before = false;
        for met in &self.compared.met {
            let note = match (met.cut, cut_before) {
                (true, _) => "cut half way; what came is safe",
                (false, true) => "went on where it was cut",
                (false, false) => "",
            };
            cut_before = met.cut;
            table.row(&[
                &format!("{} and {}", met.caller, met.server),
                &met.to_server.to_string(),
                &met.to_caller.to_string(),
                &meeting::bytes(met.relayed.iter().sum()),
                &format!("{} ms", met.ms),
                note,
            ]);
        }
        table.to_text()
    }

    /// What a person must look at now, by kind, with one example each.
    fn found(&self) -> String {
        let mut kinds: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
        for finding in &self.compared.findings {
            kinds.entry(finding.kind.code()).or_insert((0, &finding.text)).0 += 1;
        }
        if kinds.is_empty() {
            return "\nNobody must look at anything.\n".to_owned();
        }
        let mut table = Table::new(&[("KIND", 22), ("COUNT", 6), ("FOR EXAMPLE", 100)]);
        for (kind, (count, example)) in kinds {
            table.row(&[kind, &count.to_string(), example]);
        }
        format!("\nWhat a person must look at now:\n\n{}", table.to_text())
    }

    fn comparison(&self) -> String {
        let compared = &self.compared;
        if compared.same() {
            let mut table = Table::new(&[("COMPARTMENT", 24), ("DIGEST", 140)]);
            for (compartment, hash) in compared.digests.first().into_iter().flatten() {
                table.row(&[short(compartment), hash]);
            }
            let entries = compared.after.first().map(|known| known.entries).unwrap_or_default();
            return format!(
                "\nAll {} books hold the same {entries} entries and show the same records:\n\n{}",
                self.devices.len(),
                table.to_text()
            );
        }
        let mut table = Table::new(&[("DEVICE", 6), ("COMPARTMENT", 24), ("DIGEST", 140)]);
        for (device, digest) in self.devices.iter().zip(&compared.digests) {
            for (compartment, hash) in digest {
                table.row(&[&device.number.to_string(), short(compartment), hash]);
            }
        }
        format!("\nTHE BOOKS DIFFER:\n\n{}", table.to_text())
    }
}

/// The kind of a compartment, without its id.
fn short(compartment: &str) -> &str {
    compartment.split_once(' ').map_or(compartment, |(kind, _)| kind)
}

fn clock(device: &Device) -> String {
    match device.clock_off_ms / DAY_MS / 365 {
        0 => "right".to_owned(),
        1 => "1 year ahead".to_owned(),
        years => format!("{years} years ahead"),
    }
}

fn json_digest(digest: &Digest) -> Value {
    Value::Object(digest.iter().map(|(compartment, hash)| (compartment.clone(), json!(hash))).collect::<Map<_, _>>())
}
