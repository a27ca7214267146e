//! `stock`: what came, went, was counted, and is there.

use clap::{Args, Subcommand};
use serde_json::json;

use super::note::any_fact_written;
use crate::context::{Answer, Context};
use crate::output::Reply;
use crate::show::{json, lists};
use crate::typed;

/// Receive, move, count and show stock
#[derive(Debug, Subcommand)]
pub enum Stock {
    /// Write down stock that came from outside
    Receive(Receive),
    /// Write down stock that went from one place to another
    Move(Move),
    /// Write down what was counted at a place
    Count(Count),
    /// Show what is on hand
    Show(Show),
}

/// What stock it is.
#[derive(Debug, Args)]
pub struct Item {
    /// Product
    product: String,
    /// Its code; systems may be short: rxnorm, ndc, cvx
    #[arg(long, value_name = "SYSTEM|CODE")]
    code: Option<String>,
    /// Lot
    #[arg(long, default_value = "", hide_default_value = true)]
    lot: String,
    /// Amount with its unit
    #[arg(long, value_name = "AMOUNT", allow_hyphen_values = true)]
    quantity: String,
}

/// Write down stock that came from outside
#[derive(Debug, Args)]
#[command(after_help = r#"Example:
  daybook stock receive "doxycycline hyclate 100 MG Oral Tablet" \
    --code "rxnorm|1650143" --lot A123 --expiry 2027-03 \
    --quantity "500 tablet" --place "tent 1""#)]
pub struct Receive {
    #[command(flatten)]
    item: Item,
    /// When the lot expires
    #[arg(long, value_name = "DATE")]
    expiry: Option<String>,
    /// Place that it came to
    #[arg(long, default_value = "", hide_default_value = true)]
    place: String,
}

/// Write down stock that went from one place to another
#[derive(Debug, Args)]
#[command(after_help = r#"Example:
  daybook stock move "doxycycline hyclate 100 MG Oral Tablet" \
    --code "rxnorm|1650143" --lot A123 --quantity "100 tablet" \
    --from "tent 1" --to "tent 2""#)]
pub struct Move {
    #[command(flatten)]
    item: Item,
    /// When the lot expires
    #[arg(long, value_name = "DATE")]
    expiry: Option<String>,
    /// Place that it left
    #[arg(long)]
    from: String,
    /// Place that it reached
    #[arg(long)]
    to: String,
}

/// Write down what was counted at a place
#[derive(Debug, Args)]
#[command(after_help = r#"Zero can be counted.

Example:
  daybook stock count "doxycycline hyclate 100 MG Oral Tablet" \
    --code "rxnorm|1650143" --lot A123 --quantity "398 tablet" --place "tent 1""#)]
pub struct Count {
    #[command(flatten)]
    item: Item,
    /// The place
    #[arg(long, default_value = "", hide_default_value = true)]
    place: String,
}

/// Show what is on hand
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  daybook stock show")]
pub struct Show {}

/// Runs it.
///
/// # Errors
/// When an argument cannot be read, or the book refuses.
pub fn run(args: Stock, context: &mut Context) -> Answer {
    match args {
        Stock::Receive(args) => receive(&args, context),
        Stock::Move(args) => move_(&args, context),
        Stock::Count(args) => count(&args, context),
        Stock::Show(Show {}) => show(context),
    }
}

fn receive(args: &Receive, context: &mut Context) -> Answer {
    let item = &args.item;
    let product = typed::coded_with(&item.product, item.code.as_deref())?;
    let quantity = typed::amount(&item.quantity)?;
    let expiry = typed::expiry(args.expiry.as_deref())?;
    let (lot, place) = (typed::optional_text(&item.lot)?, typed::optional_text(&args.place)?);
    let written = context.open()?.stock_receive(product, lot, expiry, quantity, place)?;
    Ok(any_fact_written(&written, context.offset()))
}

fn move_(args: &Move, context: &mut Context) -> Answer {
    let item = &args.item;
    let product = typed::coded_with(&item.product, item.code.as_deref())?;
    let quantity = typed::amount(&item.quantity)?;
    let expiry = typed::expiry(args.expiry.as_deref())?;
    let (lot, from, to) = (typed::optional_text(&item.lot)?, typed::text(&args.from)?, typed::text(&args.to)?);
    let written = context.open()?.stock_move(product, lot, expiry, quantity, from, to)?;
    Ok(any_fact_written(&written, context.offset()))
}

fn count(args: &Count, context: &mut Context) -> Answer {
    let item = &args.item;
    let product = typed::coded_with(&item.product, item.code.as_deref())?;
    let quantity = typed::counted(&item.quantity)?;
    let (lot, place) = (typed::optional_text(&item.lot)?, typed::optional_text(&args.place)?);
    let written = context.open()?.stock_count(product, lot, quantity, place)?;
    Ok(any_fact_written(&written, context.offset()))
}

fn show(context: &mut Context) -> Answer {
    let lines = context.open()?.stock()?;
    let text = if lines.is_empty() { "no stock was written down\n".to_owned() } else { lists::stock(&lines) };
    Ok(Reply::new(json!({"stock": json::list(&lines, json::stock_line)}), text))
}
