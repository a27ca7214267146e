//! The commands, one file a group. Each reads its arguments first, so that a mistyped one costs no passphrase,
//! then opens the book, calls it once or twice, and gives back what to say.

pub mod adopt;
pub mod allergy;
pub mod audit;
pub mod backup;
pub mod bar;
pub mod compartment;
pub mod completions;
pub mod condition;
pub mod correct;
pub mod desk;
pub mod digest;
pub mod dispense;
pub mod drill;
pub mod enrol;
pub mod erase;
pub mod export;
pub mod exposure;
pub mod extend;
pub mod findings;
pub mod found;
pub mod immunization;
pub mod import;
pub mod ingest;
pub mod init;
pub mod log;
pub mod members;
pub mod note;
pub mod observe;
pub mod passphrase;
pub mod patient;
pub mod quarantine;
pub mod rebuild;
pub mod recover;
pub mod restore;
pub mod revoke;
pub mod safe_to_lose;
pub mod salvage;
pub mod serve;
pub mod status;
pub mod stock;
pub mod sync;
pub mod verify;

use crate::args::Command;
use crate::context::{Answer, Context};

/// Runs a command.
///
/// # Errors
/// Whatever the command fails with.
pub fn run(command: Command, context: &mut Context) -> Answer {
    match command {
        Command::Init(args) => init::run(args, context),
        Command::Found(args) => found::run(args, context),
        Command::Enrol(args) => enrol::run(args, context),
        Command::Serve(args) => serve::run(&args, context),
        Command::Sync(args) => sync::run(&args, context),
        Command::Status(args) => status::run(args, context),
        Command::Exposure(args) => exposure::run(&args, context),
        Command::SafeToLose(args) => safe_to_lose::run(args, context),
        Command::Patient(args) => patient::run(args, context),
        Command::Allergy(args) => allergy::run(args, context),
        Command::Observe(args) => observe::run(&args, context),
        Command::Condition(args) => condition::run(args, context),
        Command::Immunization(args) => immunization::run(args, context),
        Command::Note(args) => note::run(&args, context),
        Command::Correct(args) => correct::run(&args, context),
        Command::Stock(args) => stock::run(args, context),
        Command::Dispense(args) => dispense::run(args, context),
        Command::Findings(args) => findings::run(args, context),
        Command::Desk(args) => desk::run(args, context),
        Command::Import(args) => import::run(args, context),
        Command::Export(args) => export::run(args, context),
        Command::Log(args) => log::run(&args, context),
        Command::Audit(args) => audit::run(&args, context),
        Command::Verify(args) => verify::run(&args, context),
        Command::Digest(args) => digest::run(args, context),
        Command::Rebuild(args) => rebuild::run(args, context),
        Command::Ingest(args) => ingest::run(&args, context),
        Command::Backup(args) => backup::run(&args, context),
        Command::Restore(args) => restore::run(&args, context),
        Command::Salvage(args) => salvage::run(args, context),
        Command::Passphrase(args) => passphrase::run(&args, context),
        Command::Drill(args) => drill::run(&args, context),
        Command::Members(args) => members::run(args, context),
        Command::Compartment(args) => compartment::run(args, context),
        Command::Bar(args) => bar::run(&args, context),
        Command::Revoke(args) => revoke::run(&args, context),
        Command::Quarantine(args) => quarantine::run(args, context),
        Command::Erase(args) => erase::run(&args, context),
        Command::Recover(args) => recover::run(&args, context),
        Command::Completions(args) => Ok(completions::run(&args)),
    }
}
