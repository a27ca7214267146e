//! `recover`: takes an incident over with the seed on paper.

use std::path::{Path, PathBuf};

use clap::Args;
use daybook_core::crypto::RecoverySeed;
use daybook_core::daybook::{Daybook, Heir, IngestReport, Recovered};
use serde_json::json;

use crate::commands::ingest;
use crate::context::{Answer, Context};
use crate::failure::Failure;
use crate::host::SystemHost;
use crate::output::Reply;
use crate::passphrase;
use crate::show::{json, members};

/// Take the incident over with the recovery seed on paper
#[derive(Debug, Args)]
#[command(after_help = "\
Run it on a device that takes part: it becomes a root, and the roots of --lost are ended. What is held here of
theirs stays trusted. The seed is not kept. Where no such device is at hand, --from makes a new book of a file
that `daybook export log` wrote: all that its keys open is there.

Example:
  daybook --book tablet recover --seed-file seed.txt --organisation \"County Health\" \\
    --lost \"R. Alvarez\"
  daybook --book heir recover --seed-file seed.txt --organisation \"County Health\" \\
    --from friday.daybook --person \"N. Okoye\" --lost \"R. Alvarez\"")]
pub struct Recover {
    /// File whose first line is the recovery seed; without it `DAYBOOK_RECOVERY_SEED`, else you are asked
    #[arg(long, value_name = "FILE")]
    seed_file: Option<PathBuf>,
    /// Your organisation, for which this device is a root
    #[arg(long, value_name = "NAME")]
    organisation: String,
    /// A root whose device is lost; may be given several times
    #[arg(long, value_name = "DEVICE|PERSON")]
    lost: Vec<String>,
    /// Make a new book of an export file
    #[arg(long, value_name = "FILE", requires = "person")]
    from: Option<PathBuf>,
    /// Who you are, in a new book
    #[arg(long, value_name = "NAME", requires = "from")]
    person: Option<String>,
}

/// The environment variable with the seed.
const ENVIRONMENT: &str = "DAYBOOK_RECOVERY_SEED";

/// Runs it.
///
/// # Errors
/// When the seed is mistyped or of another incident, or a root is not found.
pub fn run(args: &Recover, context: &mut Context) -> Answer {
    let person = args.person.as_deref().unwrap_or("-");
    if args.organisation.trim().is_empty() || person.trim().is_empty() {
        return Err(Failure::usage("empty-name", "a name is empty").then("give your organisation, and who you are"));
    }
    let typed = passphrase::secret(args.seed_file.as_deref(), ENVIRONMENT, "Recovery seed: ")?;
    let seed = RecoverySeed::parse(&String::from_utf8_lossy(&typed)).map_err(|error| {
        Failure::usage("bad-seed", "this is no recovery seed").because(error).then("read the paper again")
    })?;
    let lost: Vec<&str> = args.lost.iter().map(String::as_str).collect();
    let (done, taken) = match (&args.from, &args.person) {
        (Some(from), Some(person)) => from_file(from, (person, &args.organisation), (&seed, &lost), context)?,
        _ => (context.open()?.recover(&seed, &args.organisation, &lost)?, None),
    };
    let object = json!({
        "here": json::author(&done.here),
        "ended": json::list(&done.ended, json::author),
        "entries": json::entries(&done.entries),
        "taken": taken.as_ref().map(|taken| taken.new),
        "refused": taken.as_ref().map(ingest::refused).unwrap_or_default(),
        "cut_off": taken.as_ref().is_some_and(|taken| taken.cut_off),
    });
    let mut text = "this device is a root of the incident now\n".to_owned();
    if let Some(taken) = &taken {
        text.push_str(&format!("taken from the file: {} entries\n", taken.new));
    }
    if !done.ended.is_empty() {
        text.push_str(&format!("ended for ever: {}\n", members::names(&done.ended)));
    }
    text.push_str(match &taken {
        None => "sync with every device that can be reached, so that all hear of it; put the paper back in its place\n",
        Some(_) => {
            "give every device that can be reached a file of `daybook export log`: once it was taken in there, both can sync;\n\
             put the paper back in its place\n"
        }
    });
    let reply = Reply::new(object, text);
    match taken.and_then(|taken| ingest::in_part(&taken)) {
        Some(failure) => Err(failure.showing(reply)),
        None => Ok(reply),
    }
}

/// Makes a new book of a file.
fn from_file(
    from: &Path,
    (person, organisation): (&str, &str),
    (seed, lost): (&RecoverySeed, &[&str]),
    context: &mut Context,
) -> Result<(Recovered, Option<IngestReport>), Failure> {
    let mut source = ingest::reader(from)?;
    let passphrase = passphrase::chosen(context.passphrase_file(), passphrase::ENVIRONMENT)?;
    let (heir, at) = (Heir { person, organisation, lost }, (context.book(), &passphrase[..]));
    let (mut book, taken, done) = Daybook::recover_from(at, seed, &heir, &mut source, SystemHost::boxed())?;
    let status = book.status()?;
    context.mark(&status.incident, status.exercise);
    Ok((done, Some(taken)))
}
