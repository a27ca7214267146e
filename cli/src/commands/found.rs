//! `found`: several roots begin an incident together, by code, without any network.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use daybook_core::daybook::{
    Daybook, EnrolmentReply, Error, Founded, NewIncident, Proposal, RootReply, RootRequest, RootSignature,
};
use serde_json::{Value, json};

use crate::codes;
use crate::context::{Answer, Context};
use crate::failure::{Failure, Kept};
use crate::host::SystemHost;
use crate::output::Reply;
use crate::passphrase;
use crate::show::text::safe;
use crate::target;

/// Begin an incident with other organisations at one table: each makes its own keys, and all sign
#[derive(Debug, Subcommand)]
pub enum Found {
    /// Every organisation but the first asks: makes this computer's keys and prints the request
    Request(Request),
    /// The first proposes: prints what all are to sign
    Propose(Propose),
    /// Show the proposal that waits here again
    Show(Show),
    /// Every other organisation signs, once all screens show the same
    Sign(Sign),
    /// The first begins the incident with all signatures: prints a reply for each other organisation
    Complete(Complete),
    /// Make a lost reply again
    Reply(ReplyTo),
}

/// Every organisation but the first asks: makes this computer's keys and prints the request
#[derive(Debug, Args)]
#[command(after_help = "\
Run it where no book is yet. The keys stay here, under the passphrase, until the reply is accepted.

Example:
  daybook --book south found request --organisation \"Red Crescent\" --person \"M. Diallo\"")]
pub struct Request {
    /// Name of your organisation
    #[arg(long, value_name = "NAME")]
    organisation: String,
    /// Your name
    #[arg(long, value_name = "NAME")]
    person: String,
    /// Throw away a request that waits here, and make a new one
    #[arg(long)]
    anew: bool,
    /// Show the QR code also where the answer is no terminal
    #[arg(long)]
    qr: bool,
}

/// The first proposes: prints what all are to sign
#[derive(Debug, Args)]
#[command(override_usage = "daybook found propose --incident NAME --organisation NAME --person NAME CODE...")]
#[command(after_help = "\
Give the codes of all other organisations together. With three or more, --quorum says how many of them
decide together that one is ended or added: more than half and not all. Two have no quorum.

Example:
  daybook --book north found propose --incident \"Border flood\" --exercise \\
    --organisation \"County Health\" --person \"R. Alvarez\" 0C00-G401-KQ7W-R9ZD-TX0M")]
pub struct Propose {
    /// Requests of the other organisations; `-` for standard input
    #[arg(required_unless_present = "file")]
    code: Vec<String>,
    /// File that holds requests; may be given several times
    #[arg(long, value_name = "FILE", conflicts_with = "code")]
    file: Vec<PathBuf>,
    /// Name of the incident
    #[arg(long, value_name = "NAME")]
    incident: String,
    /// Name of your organisation
    #[arg(long, value_name = "NAME")]
    organisation: String,
    /// Your name
    #[arg(long, value_name = "NAME")]
    person: String,
    /// Mark the incident as an exercise, for ever
    #[arg(long)]
    exercise: bool,
    /// How many organisations decide together; without it the smallest number that may
    #[arg(long, value_name = "COUNT")]
    quorum: Option<u8>,
    /// Throw away a proposal that waits here, and make a new one
    #[arg(long)]
    anew: bool,
    /// Show the QR codes also where the answer is no terminal
    #[arg(long)]
    qr: bool,
}

/// Show the proposal that waits here again
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  daybook --book north found show")]
pub struct Show {
    /// Show the QR codes also where the answer is no terminal
    #[arg(long)]
    qr: bool,
}

/// Every other organisation signs, once all screens show the same
#[derive(Debug, Args)]
#[command(after_help = "\
First compare the 12 characters with the proposer's screen: they show that nobody changed a key on its
way. Where nobody can be asked, --same gives what the proposer's screen shows.

Example:
  daybook --book south found sign 1000-G401-M3VT-K0ZM-XX2A --same 5H2N-PQ7A-C4WE")]
pub struct Sign {
    /// The proposal; `-` for standard input
    #[arg(required_unless_present = "file")]
    code: Vec<String>,
    /// File that holds the proposal
    #[arg(long, value_name = "FILE", conflicts_with = "code")]
    file: Option<PathBuf>,
    /// The 12 characters that the proposer's screen shows
    #[arg(long, value_name = "CHARACTERS")]
    same: Option<String>,
    /// Show the QR code also where the answer is no terminal
    #[arg(long)]
    qr: bool,
}

/// The first begins the incident with all signatures: prints a reply for each other organisation
#[derive(Debug, Args)]
#[command(after_help = "\
Give the signatures of all together. Each takes its reply with `daybook enrol accept`, and can write at
once. Where nobody can be asked, --same gives the 12 characters that all other screens show.

Example:
  daybook --book north found complete 1400-G401-W8YB-D6XM-00QA --same 5H2N-PQ7A-C4WE")]
pub struct Complete {
    /// Signatures of the other organisations; `-` for standard input
    #[arg(required_unless_present = "file")]
    code: Vec<String>,
    /// File that holds signatures; may be given several times
    #[arg(long, value_name = "FILE", conflicts_with = "code")]
    file: Vec<PathBuf>,
    /// Where this computer answers `daybook sync`; may be given several times
    #[arg(long, value_name = "HOST:PORT")]
    address: Vec<String>,
    /// The 12 characters that all other screens show
    #[arg(long, value_name = "CHARACTERS")]
    same: Option<String>,
    /// Show the QR codes also where the answer is no terminal
    #[arg(long)]
    qr: bool,
}

/// Make a lost reply again
#[derive(Debug, Args)]
#[command(after_help = "\
Any computer of those that began the incident can do it. The other shows its request again with the same
`daybook found request`.

Example:
  daybook --book north found reply 0C00-G401-KQ7W-R9ZD-TX0M")]
pub struct ReplyTo {
    /// The request; `-` for standard input
    #[arg(required_unless_present = "file")]
    code: Vec<String>,
    /// File that holds the request
    #[arg(long, value_name = "FILE", conflicts_with = "code")]
    file: Option<PathBuf>,
    /// Where this computer answers `daybook sync`; may be given several times
    #[arg(long, value_name = "HOST:PORT")]
    address: Vec<String>,
    /// Write the reply to a file
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Show the QR codes also where the answer is no terminal
    #[arg(long)]
    qr: bool,
}

/// Runs it.
///
/// # Errors
/// When a code does not fit, the characters differ, or the folder does not allow it.
pub fn run(found: Found, context: &mut Context) -> Answer {
    match found {
        Found::Request(args) => request(&args, context),
        Found::Propose(args) => propose(args, context),
        Found::Show(args) => show(&args, context),
        Found::Sign(args) => sign(&args, context),
        Found::Complete(args) => complete(&args, context),
        Found::Reply(args) => reply(&args, context),
    }
}

fn request(args: &Request, context: &mut Context) -> Answer {
    not_empty(&[&args.organisation, &args.person])?;
    let passphrase = passphrase::chosen(context.passphrase_file(), passphrase::ENVIRONMENT)?;
    let names = (args.person.as_str(), args.organisation.as_str());
    let root = Daybook::begin_root_request(context.book(), &passphrase, names, args.anew, &mut SystemHost)?;
    let code = root.code().map_err(Error::from)?.concat();
    let text = format!(
        "{}{code}\n\n\
         Show or give this code to the organisation that proposes the incident with `daybook found propose`.\n\
         Then sign what it proposes with `daybook found sign`.",
        codes::qr(std::slice::from_ref(&code), args.qr)?,
    );
    let object = json!({
        "organisation": root.organisation(),
        "person": root.request().person(),
        "device": root.request().device().device_id().to_hex(),
        "code": code,
    });
    Ok(Reply::new(object, text))
}

fn propose(args: Propose, context: &mut Context) -> Answer {
    let others = RootRequest::parse_all(&typed(&args.code, &args.file)?).map_err(Error::from)?;
    let new = NewIncident {
        incident: args.incident,
        organisation: args.organisation,
        person: args.person,
        exercise: args.exercise,
    };
    not_empty(&[&new.incident, &new.organisation, &new.person])?;
    let passphrase = passphrase::chosen(context.passphrase_file(), passphrase::ENVIRONMENT)?;
    let named = (&others[..], args.quorum);
    let proposal = Daybook::propose(context.book(), &passphrase, &new, named, args.anew, &mut SystemHost)?;
    proposed(&proposal, args.qr, context)
}

fn show(args: &Show, context: &mut Context) -> Answer {
    let passphrase = passphrase::existing(context.passphrase_file())?;
    proposed(&Daybook::proposal(context.book(), &passphrase)?, args.qr, context)
}

fn proposed(proposal: &Proposal, qr: bool, context: &mut Context) -> Answer {
    context.mark(proposal.incident(), proposal.exercise());
    let code = proposal.code().map_err(Error::from)?;
    let text = format!(
        "{}{}\n\n{}\n\
         Show or give this code to each other organisation, which signs it with `daybook found sign`.\n\
         All screens must show the same 12 characters as this one:\n\n  {}\n\n\
         Then begin with `daybook found complete`.",
        codes::qr(&code, qr)?,
        code.join("\n\n"),
        outline(proposal, None),
        proposal.characters(),
    );
    let mut object = fields(proposal);
    insert(&mut object, "code", json!(code));
    Ok(Reply::new(object, text))
}

fn sign(args: &Sign, context: &mut Context) -> Answer {
    let proposal = Proposal::parse(&codes::typed(&args.code, args.file.as_deref())?).map_err(Error::from)?;
    context.mark(proposal.incident(), proposal.exercise());
    let passphrase = passphrase::existing(context.passphrase_file())?;
    let own = Daybook::place_in_proposal(context.book(), &passphrase, &proposal)?;
    codes::compare(context, &proposal.characters(), args.same.as_deref(), "--same", &outline(&proposal, Some(own)))?;
    let signature = Daybook::sign_proposal(context.book(), &passphrase, &proposal)?;
    let code = signature.code().map_err(Error::from)?.concat();
    let text = format!(
        "{}{code}\n\n\
         Give this signature to the organisation that proposed the incident. Its answer is for this computer alone:\n\
         take it with `daybook enrol accept`.",
        codes::qr(std::slice::from_ref(&code), args.qr)?,
    );
    let mut object = fields(&proposal);
    insert(&mut object, "code", json!(code));
    Ok(Reply::new(object, text))
}

fn complete(args: &Complete, context: &mut Context) -> Answer {
    let signatures = RootSignature::parse_all(&typed(&args.code, &args.file)?).map_err(Error::from)?;
    let passphrase = passphrase::existing(context.passphrase_file())?;
    let proposal = Daybook::proposal(context.book(), &passphrase)?;
    context.mark(proposal.incident(), proposal.exercise());
    codes::compare(context, &proposal.characters(), args.same.as_deref(), "--same", &outline(&proposal, Some(0)))?;
    let given = (&signatures[..], &args.address[..]);
    let Founded { mut book, seed, replies } =
        Daybook::complete(context.book(), &passphrase, given, SystemHost::boxed())?;
    let status = book.status()?;
    let printed = seed.print();
    let seed = String::from_utf8_lossy(printed.expose()).into_owned();
    let mut text = format!(
        "{} begins. The book lies in {}.\n\n\
         RECOVERY SEED: write it on paper, keep it away from this computer. It is shown only now.\n\n  {seed}\n\n\
         With it, and only with it, the incident can be taken over when the computers of too many organisations\n\
         are lost.\n",
        safe(&status.incident),
        safe(&context.book().to_string_lossy()),
    );
    let mut listed = Vec::new();
    for RootReply { root, reply } in &replies {
        let code = reply.code().map_err(Error::from)?;
        text.push_str(&format!("\n{}", handed(root, reply, &code, args.qr)?));
        listed.push(of_reply(root, reply, &code));
    }
    let object = json!({
        "incident": status.incident,
        "incident_id": status.incident_id,
        "device": status.here.device.to_hex(),
        "book": context.book().to_string_lossy(),
        "recovery_seed": seed,
        "replies": listed,
    });
    Ok(Reply::new(object, text))
}

fn reply(args: &ReplyTo, context: &mut Context) -> Answer {
    let requests = RootRequest::parse_all(&codes::typed(&args.code, args.file.as_deref())?).map_err(Error::from)?;
    let [root] = &requests[..] else {
        return Err(Failure::usage("usage", "these are the requests of several organisations").then("give one of them"));
    };
    if let Some(out) = &args.out
        && out.exists()
    {
        return Err(Failure::environment("exists", "the file is there already").then("name another file with --out"));
    }
    let reply = context.open()?.reply_to_root(root, &args.address)?;
    let code = reply.code().map_err(Error::from)?;
    let mut text = handed(root, &reply, &code, args.qr)?;
    if let Some(out) = &args.out {
        let written = target::write_new(out, |to| {
            code.iter().try_for_each(|piece| writeln!(to, "{piece}")).map_err(target::unwritable)
        });
        written.map_err(|failure| failure.saved(Kept::Nothing))?;
        text.push_str(&format!("\nit is in {} too", safe(&out.to_string_lossy())));
    }
    let mut object = of_reply(root, &reply, &code);
    insert(&mut object, "path", json!(args.out.as_ref().map(|out| out.to_string_lossy())));
    Ok(Reply::new(object, text))
}

/// The codes as they were typed, or from files or standard input.
fn typed(codes: &[String], files: &[PathBuf]) -> Result<String, Failure> {
    if files.is_empty() {
        return codes::typed(codes, None);
    }
    let read: Result<Vec<String>, Failure> = files.iter().map(|file| codes::typed(&[], Some(file))).collect();
    Ok(read?.join("\n"))
}

fn not_empty(names: &[&str]) -> Result<(), Failure> {
    if names.iter().any(|name| name.trim().is_empty()) {
        return Err(Failure::usage("empty-name", "a name is empty").then("give every name that the command asks for"));
    }
    Ok(())
}

/// What is to be founded, for people.
fn outline(proposal: &Proposal, own: Option<usize>) -> String {
    let mut text = format!("{}, founded by\n", safe(proposal.incident()));
    for (place, root) in proposal.roots().iter().enumerate() {
        let short: String = root.device.to_hex().chars().take(12).collect();
        let here = if own == Some(place) { "  (this computer)" } else { "" };
        text.push_str(&format!("  {short}  {}{here}\n", safe(&root.organisation)));
    }
    text.push_str(&match proposal.quorum() {
        0 => "Only the recovery seed can end or add one of them.\n".to_owned(),
        quorum => format!("{quorum} of them together can end or add one.\n"),
    });
    text
}

fn fields(proposal: &Proposal) -> Value {
    let roots: Vec<Value> = proposal
        .roots()
        .iter()
        .map(|root| json!({"device": root.device.to_hex(), "organisation": root.organisation}))
        .collect();
    json!({
        "incident": proposal.incident(),
        "incident_id": proposal.incident_id(),
        "roots": roots,
        "quorum": proposal.quorum(),
        "characters": proposal.characters().to_string(),
    })
}

fn insert(object: &mut Value, key: &str, value: Value) {
    if let Value::Object(object) = object {
        object.insert(key.to_owned(), value);
    }
}

/// A reply as people hand it over.
fn handed(root: &RootRequest, reply: &EnrolmentReply, code: &[String], qr: bool) -> Result<String, Failure> {
    Ok(format!(
        "For {} of {}, who takes it with `daybook enrol accept`; that screen must show {}:\n\n{}{}\n",
        safe(root.request().person()),
        safe(root.organisation()),
        reply.characters(),
        codes::qr(code, qr)?,
        code.join("\n\n"),
    ))
}

fn of_reply(root: &RootRequest, reply: &EnrolmentReply, code: &[String]) -> Value {
    json!({
        "organisation": root.organisation(),
        "person": root.request().person(),
        "device": root.request().device().device_id().to_hex(),
        "code": code,
        "characters": reply.characters().to_string(),
    })
}
