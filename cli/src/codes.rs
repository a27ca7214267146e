//! Codes that pass from screen to screen: typed or read from a file, shown as QR, their characters compared.

use std::io::{IsTerminal, Read, Write};
use std::path::Path;

use daybook_core::daybook::{Characters, EnrolmentError, Error};
use fast_qr::{ECL, QRBuilder};
use serde_json::json;

use crate::commands::ingest;
use crate::context::Context;
use crate::failure::{Failure, Kind};
use crate::output::Reply;

/// Most bytes of a code that are read from a file.
const CODE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The code as it was typed, or from a file or standard input.
///
/// # Errors
/// When the file cannot be read.
pub fn typed(typed: &[String], file: Option<&Path>) -> Result<String, Failure> {
    let path = match (file, typed) {
        (Some(path), _) => path,
        (None, [dash]) if dash == "-" => Path::new("-"),
        (None, typed) => return Ok(typed.join(" ")),
    };
    let mut text = Vec::new();
    ingest::reader(path)?.take(CODE_BYTES_MAX).read_to_end(&mut text).map_err(|error| {
        Failure::environment("no-file", "the file cannot be read").because(error).then("check the path")
    })?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Has two screens compared: with the characters that were given, else by asking.
///
/// # Errors
/// When they differ, or nobody can be asked.
pub fn compare(
    context: &Context,
    shown: &Characters,
    given: Option<&str>,
    option: &str,
    question: &str,
) -> Result<(), Failure> {
    let same = if let Some(given) = given {
        shown.are(given)
    } else if std::io::stdin().is_terminal() && !context.output().json {
        ask(shown, question)?
    } else {
        let reply =
            Reply::new(json!({"compare": shown.to_string()}), format!("{question}This screen shows:\n\n  {shown}"));
        return Err(Failure::new("not-compared", Kind::Refused, "the characters of the two screens were not compared")
            .then(format!("read the other screen and give its characters with {option}"))
            .showing(reply));
    };
    if same { Ok(()) } else { Err(Error::from(EnrolmentError::Differ).into()) }
}

/// Asks the person at the terminal.
fn ask(shown: &Characters, question: &str) -> Result<bool, Failure> {
    let unreadable = |error| Failure::environment("no-output", "the terminal cannot be used").because(error);
    let mut stdout = std::io::stdout().lock();
    write!(stdout, "{question}\n  {shown}\n\nDoes the other screen show the same? [yes/no] ").map_err(unreadable)?;
    stdout.flush().map_err(unreadable)?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(unreadable)?;
    Ok(matches!(line.trim().to_lowercase().as_str(), "yes" | "y"))
}

/// QR codes of all pieces, each with its number, where a person can scan them.
///
/// # Errors
/// When a piece does not fit one, which is a fault of this program.
pub fn qr(pieces: &[String], wanted: bool) -> Result<String, Failure> {
    if !wanted && !std::io::stdout().is_terminal() {
        return Ok(String::new());
    }
    let mut text = String::new();
    for (piece, number) in pieces.iter().zip(1..) {
        let code = QRBuilder::new(piece.replace('-', "")).ecl(ECL::L).build().map_err(|_| {
            Failure::new("bug", Kind::Bug, "a code does not fit a QR code").then("use the text below instead")
        })?;
        if pieces.len() > 1 {
            text.push_str(&format!("{number} of {}\n", pieces.len()));
        }
        text.push_str(&code.to_str());
        text.push('\n');
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_can_be_scanned_from_a_terminal_of_100_columns() {
        let piece = "0123-ABCD-".repeat(122);
        let shown = qr(&[piece], true).unwrap();
        assert!(shown.lines().all(|line| line.chars().count() <= 100), "{}", shown.lines().count());
        assert!(shown.lines().count() <= 51);
    }

    #[test]
    fn codes_come_in_arguments_or_files() {
        assert_eq!(typed(&["AB".into(), "CD".into()], None).unwrap(), "AB CD");
        assert_eq!(typed(&[], Some(Path::new("/no/such/file"))).unwrap_err().code(), "no-file");
    }
}
