//! `enrol`: admits a newcomer by code, without any network.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use daybook_core::daybook::{Daybook, EnrolmentRequest, Error, Terms};
use daybook_core::roster::Role;
use serde_json::json;

use crate::codes;
use crate::commands::{adopt, extend};
use crate::context::{Answer, Context};
use crate::failure::{Failure, Kept};
use crate::host::SystemHost;
use crate::output::Reply;
use crate::passphrase;
use crate::show::text::safe;
use crate::target;
use crate::typed;

/// Admit a newcomer: request, grant and accept, by code or QR, without any network
#[derive(Debug, Subcommand)]
pub enum Enrol {
    /// The newcomer asks: makes this computer's keys and prints the request
    Request(Request),
    /// An administrator grants: prints the reply, which only the newcomer can open
    Grant(Grant),
    /// The newcomer takes the reply and can write at once
    Accept(Accept),
    /// Give a member more time: the same rights until another end of shift, or without one
    Extend(extend::Extend),
    /// Grant a role to a member whom another administrator admitted, so that he stays when that ends
    Adopt(adopt::Adopt),
}

/// The newcomer asks: makes this computer's keys and prints the request
#[derive(Debug, Args)]
#[command(after_help = "\
Run it where no book is yet. The keys stay here, under the passphrase, until the reply is accepted.

Example:
  daybook --book tablet enrol request --person \"Ebba Lindqvist\"")]
pub struct Request {
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

/// An administrator grants: prints the reply, which only the newcomer can open
#[derive(Debug, Args)]
#[command(after_help = "\
First compare the 12 characters with the newcomer's screen: they show that nobody changed the request
on its way. Where nobody can be asked, --same gives what the newcomer's screen shows.

Example:
  daybook enrol grant 0400-G401-5A2K-R9ZD-TX0M --role clinician --same 7F3K-9QXM-2H8P")]
pub struct Grant {
    /// The newcomer's request; `-` for standard input
    #[arg(required_unless_present = "file")]
    code: Vec<String>,
    /// File that holds the request
    #[arg(long, value_name = "FILE", conflicts_with = "code")]
    file: Option<PathBuf>,
    /// What the newcomer may do
    #[arg(long, value_name = "ROLE", value_parser = PossibleValuesParser::new(Role::ALL.map(Role::word)))]
    role: String,
    /// The newcomer's organisation; without it yours
    #[arg(long, value_name = "NAME")]
    organisation: Option<String>,
    /// Keep what was written before from the newcomer
    #[arg(long)]
    no_history: bool,
    /// The site where the newcomer works: reads and writes clinical and supply there alone
    #[arg(long, value_name = "NAME")]
    site: Option<String>,
    /// End of the shift
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Where this computer answers `daybook sync`; may be given several times
    #[arg(long, value_name = "HOST:PORT")]
    address: Vec<String>,
    /// The 12 characters that the newcomer's screen shows
    #[arg(long, value_name = "CHARACTERS")]
    same: Option<String>,
    /// Write the reply to a file
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Show the QR codes also where the answer is no terminal
    #[arg(long)]
    qr: bool,
}

/// The newcomer takes the reply and can write at once
#[derive(Debug, Args)]
#[command(after_help = "\
A long reply has several pieces, which may come in any order. First compare the 12 characters with the
administrator's screen; where nobody can be asked, --code gives what that screen shows.

Example:
  daybook --book tablet enrol accept 0810-4401-9D4K-T0ZM-XX2A --code 2C9R-TX0M-88HD")]
pub struct Accept {
    /// The reply; `-` for standard input
    #[arg(required_unless_present = "file")]
    reply: Vec<String>,
    /// File that holds the reply
    #[arg(long, value_name = "FILE", conflicts_with = "reply")]
    file: Option<PathBuf>,
    /// The 12 characters that the administrator's screen shows
    #[arg(long, value_name = "CHARACTERS")]
    code: Option<String>,
}

/// Runs it.
///
/// # Errors
/// When the code does not fit, the characters differ, or the folder or the rights do not allow it.
pub fn run(enrol: Enrol, context: &mut Context) -> Answer {
    match enrol {
        Enrol::Request(args) => request(&args, context),
        Enrol::Grant(args) => grant(&args, context),
        Enrol::Accept(args) => accept(&args, context),
        Enrol::Extend(args) => extend::run(&args, context),
        Enrol::Adopt(args) => adopt::run(&args, context),
    }
}

fn request(args: &Request, context: &mut Context) -> Answer {
    if args.person.trim().is_empty() {
        return Err(Failure::usage("empty-name", "a name is empty").then("give your name with --person"));
    }
    let passphrase = passphrase::chosen(context.passphrase_file(), passphrase::ENVIRONMENT)?;
    let request = Daybook::begin_request(context.book(), &passphrase, &args.person, args.anew, &mut SystemHost)?;
    let code = request.code().map_err(Error::from)?.concat();
    let text = format!(
        "{}{code}\n\n\
         Show or give this code to an administrator, who runs `daybook enrol grant`.\n\
         The administrator's screen must show the same 12 characters as this one:\n\n  {}\n\n\
         Then take the reply with `daybook enrol accept`.",
        codes::qr(std::slice::from_ref(&code), args.qr)?,
        request.characters(),
    );
    let object = json!({
        "person": request.person(),
        "device": request.device().device_id().to_hex(),
        "code": code,
        "characters": request.characters().to_string(),
    });
    Ok(Reply::new(object, text))
}

fn grant(args: &Grant, context: &mut Context) -> Answer {
    let until_ms = typed::when(args.until.as_deref(), context.offset())?.map(|time| time.ms);
    let role = Role::parse(&args.role).ok_or_else(|| Failure::usage("usage", "there is no such role"))?;
    let request = EnrolmentRequest::parse(&codes::typed(&args.code, args.file.as_deref())?).map_err(Error::from)?;
    if let Some(out) = &args.out
        && out.exists()
    {
        return Err(Failure::environment("exists", "the file is there already").then("name another file with --out"));
    }
    let terms = Terms {
        role,
        organisation: args.organisation.clone(),
        history: !args.no_history,
        until_ms,
        site: args.site.clone(),
        addresses: args.address.clone(),
    };
    let mut book = context.open()?;
    book.check_grant(&request, &terms)?;
    let question = format!("{} asks to take part and is to become {}.\n", safe(request.person()), role.word());
    codes::compare(context, &request.characters(), args.same.as_deref(), "--same", &question)?;
    let reply = book.grant(&request, &terms)?;
    let code = reply.code().map_err(Error::from)?;
    let pieces = format!("{}{}\n", codes::qr(&code, args.qr)?, code.join("\n\n"));
    let shown = if let Some(out) = &args.out {
        let written = target::write_new(out, |to| {
            code.iter().try_for_each(|piece| writeln!(to, "{piece}")).map_err(target::unwritable)
        });
        // The grant is durable and its reply is made once: it must not be lost with the file.
        written.map_err(|failure| {
            failure
                .saved(Kept::Everything)
                .then("the grant is written; hand over the reply that is shown here")
                .showing(Reply::new(json!({"code": code}), pieces))
        })?;
        format!("the reply is in {}\n", safe(&out.to_string_lossy()))
    } else {
        pieces
    };
    let text = format!(
        "{shown}\n{} is {} now. Hand over the reply; only that device can open it.\n\
         The newcomer's screen must show the same 12 characters as this one:\n\n  {}",
        safe(request.person()),
        role.word(),
        reply.characters(),
    );
    let object = json!({
        "person": request.person(),
        "role": role.word(),
        "device": request.device().device_id().to_hex(),
        "code": code,
        "path": args.out.as_ref().map(|out| out.to_string_lossy()),
        "characters": reply.characters().to_string(),
    });
    Ok(Reply::new(object, text))
}

fn accept(args: &Accept, context: &mut Context) -> Answer {
    let code = codes::typed(&args.reply, args.file.as_deref())?;
    let passphrase = passphrase::existing(context.passphrase_file())?;
    let offer = Daybook::open_reply(context.book(), &passphrase, &code)?;
    context.mark(offer.incident(), offer.exercise());
    let question = if offer.root() {
        format!("{}: this computer is to be one of those that begin it.\n", safe(offer.incident()))
    } else {
        format!(
            "{} ({}): you are to become {}.\n",
            safe(offer.incident()),
            safe(offer.organisation()),
            safe(offer.role())
        )
    };
    codes::compare(context, offer.characters(), args.code.as_deref(), "--code", &question)?;
    let mut book = Daybook::accept(context.book(), &passphrase, &offer, SystemHost::boxed())?;
    let status = book.status()?;
    let mut text = format!(
        "you are {} in {} now. The book lies in {}.\n",
        safe(offer.role()),
        safe(offer.incident()),
        safe(&context.book().to_string_lossy()),
    );
    if !offer.history() {
        text.push_str("what was written before you came is not open to you\n");
    }
    for address in offer.addresses() {
        text.push_str(&format!("to fetch what others wrote: daybook sync {}\n", safe(address)));
    }
    let object = json!({
        "incident": status.incident,
        "incident_id": status.incident_id,
        "device": status.here.device.to_hex(),
        "role": offer.role(),
        "history": offer.history(),
        "addresses": offer.addresses(),
        "book": context.book().to_string_lossy(),
        "characters": offer.characters().to_string(),
    });
    Ok(Reply::new(object, text))
}
