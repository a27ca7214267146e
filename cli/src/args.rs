//! The command line: what can be said, with an example of each.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::commands::{
    allergy, audit, backup, bar, compartment, completions, condition, correct, desk, digest, dispense, drill, enrol,
    erase, export, exposure, findings, found, immunization, import, ingest, init, log, members, note, observe,
    passphrase, patient, quarantine, rebuild, recover, restore, revoke, safe_to_lose, salvage, serve, status, stock,
    sync, verify,
};

/// The book of original entry for disaster response: patients, dispensing and stock, written down once,
/// encrypted, without any network.
#[derive(Debug, Parser)]
#[command(name = "daybook", version, propagate_version = true, max_term_width = 100)]
#[command(after_help = "\
P is a patient code such as 7FK2-Q1X3-C, an identifier or wristband tag, or the beginning of a code.\n\
ENTRY is an entry code such as 7FK2Q-12, shown by `daybook patient show P` and `daybook log`.\n\
Exit codes: 0 done, 2 usage, 3 refused, 4 denied, 5 environment, 6 damaged, 7 done in part, 70 bug.")]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
pub struct Global {
    /// Folder of the book; without it `.daybook` in your home folder
    #[arg(long, global = true, env = "DAYBOOK_BOOK", hide_env_values = true, value_name = "FOLDER")]
    pub book: Option<PathBuf>,
    /// File whose first line is the passphrase; without it `DAYBOOK_PASSPHRASE`, else you are asked
    #[arg(long, global = true, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// Answer with one JSON object (long commands: one a line); errors as JSON on stderr
    #[arg(long, global = true)]
    pub json: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Begin an incident: make this computer's book and the recovery seed
    Init(init::Init),
    /// Begin an incident with other organisations at one table: each makes its own keys, and all sign
    #[command(subcommand)]
    Found(found::Found),
    /// Admit a newcomer: request, grant and accept, by code or QR, without any network
    #[command(subcommand)]
    Enrol(enrol::Enrol),
    /// Let other devices of the incident sync with this book
    Serve(serve::Serve),
    /// Sync once with another device of the incident
    Sync(sync::Sync),
    /// What this book holds
    Status(status::Status),
    /// What a person's devices or one device could read, and from which entry on they are blind
    Exposure(exposure::Exposure),
    /// Whether this computer can be lost without losing what was written on it
    SafeToLose(safe_to_lose::SafeToLose),
    /// Register, find, show and change patients
    #[command(subcommand)]
    Patient(patient::Patient),
    /// Allergies, and that none are known
    #[command(subcommand)]
    Allergy(allergy::Allergy),
    /// Write down a measurement: weight, temperature, pregnancy, any code
    Observe(observe::Observe),
    /// Diagnoses and problems
    #[command(subcommand)]
    Condition(condition::Condition),
    /// Vaccinations
    #[command(subcommand)]
    Immunization(immunization::Immunization),
    /// Write a note
    Note(note::Note),
    /// Correct anything that was said, or say that it is not so
    Correct(correct::Correct),
    /// Receive, move, count and show stock
    #[command(subcommand)]
    Stock(stock::Stock),
    /// Hand out medication, or take that back
    Dispense(dispense::Dispense),
    /// What a person must look at
    Findings(findings::Findings),
    /// Unlock once, then scan or type: register, warn, dispense, next
    Desk(desk::Desk),
    /// Take in records of other systems
    #[command(subcommand)]
    Import(import::Import),
    /// Give records to other systems
    #[command(subcommand)]
    Export(export::Export),
    /// What was written, newest first
    Log(log::Log),
    /// Who read a patient's record, when and for what
    Audit(audit::Audit),
    /// Check every signature, hash and link of the book
    Verify(verify::Verify),
    /// One hash per compartment: two devices with the same hashes show the same records
    Digest(digest::Digest),
    /// Make all tables again from the log
    Rebuild(rebuild::Rebuild),
    /// Take in a log that `export log` wrote
    Ingest(ingest::Ingest),
    /// Copy the book, encrypted, to another folder
    Backup(backup::Backup),
    /// Make a book from a backup
    Restore(restore::Restore),
    /// Save what is whole of a damaged book into a new one
    Salvage(salvage::Salvage),
    /// Change the passphrase of the book
    Passphrase(passphrase::ChangePassphrase),
    /// Rehearse: several devices of an exercise write apart, meet, and are compared
    Drill(drill::Drill),
    /// Who takes part: people, their devices, roles, and what became of them
    Members(members::Members),
    /// Compartments: records of a site that only some devices can read
    #[command(subcommand)]
    Compartment(compartment::Compartment),
    /// Stop giving keys to a person's devices or to one device, without ending what was granted
    Bar(bar::Bar),
    /// End what a person or a device was granted, after a theft or at the end of a deployment
    Revoke(revoke::Revoke),
    /// What waits for review because its author had no right to write it, or no longer
    #[command(subcommand)]
    Quarantine(quarantine::Quarantine),
    /// Take an entry out of what counts, everywhere, for good reason
    Erase(erase::Erase),
    /// Take the incident over with the recovery seed on paper
    Recover(recover::Recover),
    /// Completions for your shell
    Completions(completions::Completions),
}
