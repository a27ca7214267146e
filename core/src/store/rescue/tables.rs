//! Which table a row is of, told by what it looks like: so rows are found also where the pages that lead to them, or
//! the names of all tables, are lost.
//!
//! Durable tables of version 1. A page counts only if all its rows look alike, and what is found is judged again by
//! what it says: a log's id is computed from its name, an entry's from its place.

use super::cells::{Cell, Shape, Value};
use zeroize::Zeroizing;

type Blob = Zeroizing<Vec<u8>>;

/// A durable table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Table {
    Book,
    Secret,
    Parcel,
    /// Also the index of it, and that of the logs: a number and 32 bytes.
    Compartment,
    Log,
    Branch,
    Ground,
    Entry,
    Head,
}

/// A row that was read.
pub(super) enum Row {
    Book { key: String, value: Zeroizing<Vec<u8>> },
    Secret { key: [u8; 32], compartment: [u8; 32], history: bool, secret: Zeroizing<Vec<u8>> },
    Parcel { number: i64, key: Blob, recipient: Blob, ephemeral: Blob, sealed: Blob },
    Compartment { number: i64, id: [u8; 32] },
    Log(LogRow),
    Branch(BranchRow),
    Ground { number: i64, granted: [u8; 32], hint: [u8; 32], key: [u8; 32] },
    Entry { number: i64, id: [u8; 32], ground: i64, nonce: Blob, body: Blob, erased: i64 },
    Head { entry: i64, signature: Blob },
}

/// A log, its compartment by number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct LogRow {
    pub number: i64,
    pub log: [u8; 32],
    pub author: [u8; 96],
    pub incarnation: [u8; 16],
    pub compartment: i64,
    pub lane: i64,
}

/// A branch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct BranchRow {
    pub log: i64,
    pub branch: i64,
    pub parent: i64,
    pub fork_seq: i64,
    pub tip_seq: i64,
    pub tip_id: [u8; 32],
}

/// The table that all rows of a page are of.
pub(super) fn table_of(cells: &[Cell]) -> Option<Table> {
    let mut tables = cells.iter().map(of_cell);
    let first = tables.next()??;
    tables.all(|table| table == Some(first)).then_some(first)
}

fn of_cell(cell: &Cell) -> Option<Table> {
    use Shape::{Bit, Blob, Null, Number, Text};
    let shape = cell.shape()?;
    let numbers = |shapes: &[Shape]| shapes.iter().all(|shape| matches!(shape, Number(_) | Bit(_)));
    match (cell.number, shape.as_slice()) {
        (Some(_), [Null, Blob(32), Number(_) | Bit(_), Blob(24), Blob(_), Number(_) | Bit(_)]) => Some(Table::Entry),
        (Some(_), [Null, Blob(64)]) => Some(Table::Head),
        (Some(_), [Null, Blob(32), Blob(32), Blob(32)])
        | (None, [Blob(32), Blob(32), Blob(32), Number(_) | Bit(_)]) => Some(Table::Ground),
        (Some(_), [Null, Blob(32)]) | (None, [Blob(32), Number(_) | Bit(_)]) => Some(Table::Compartment),
        (Some(_), [Null, Blob(32), Blob(96), Blob(32), Blob(16), rest @ ..]) if rest.len() == 2 && numbers(rest) => {
            Some(Table::Log)
        }
        (Some(_), [Null, Blob(32), Blob(32), Blob(32), Blob(_)]) => Some(Table::Parcel),
        (None, [Blob(32), Blob(32), Bit(_), Blob(32)]) => Some(Table::Secret),
        (None, [Text(_), Blob(_)]) => Some(Table::Book),
        (None, [places @ .., Blob(32), posted]) if places.len() == 5 && numbers(places) && numbers(&[*posted]) => {
            Some(Table::Branch)
        }
        _ => None,
    }
}

/// The row of values of a table; `None` if they are not what the table holds.
pub(super) fn row(table: Table, number: Option<i64>, values: Vec<Value>) -> Option<Row> {
    let mut values = Values(values.into_iter());
    let row = match table {
        Table::Book => Row::Book { key: values.text()?, value: values.blob()? },
        Table::Secret => Row::Secret {
            key: values.array()?,
            compartment: values.array()?,
            history: values.number()? != 0,
            secret: values.blob()?,
        },
        Table::Parcel => {
            values.null()?;
            let (key, recipient, ephemeral) = (values.blob()?, values.blob()?, values.blob()?);
            Row::Parcel { number: number?, key, recipient, ephemeral, sealed: values.blob()? }
        }
        Table::Compartment => {
            if number.is_some() {
                values.null()?;
            }
            let id = values.array()?;
            let number = if let Some(number) = number { number } else { values.number()? };
            Row::Compartment { number, id }
        }
        Table::Log => {
            values.null()?;
            let (log, author, _device) = (values.array()?, values.array()?, values.array::<32>()?);
            let (incarnation, compartment, lane) = (values.array()?, values.number()?, values.number()?);
            Row::Log(LogRow { number: number?, log, author, incarnation, compartment, lane })
        }
        Table::Branch => {
            let (log, branch, parent) = (values.number()?, values.number()?, values.number()?);
            let (fork_seq, tip_seq, tip_id) = (values.number()?, values.number()?, values.array()?);
            Row::Branch(BranchRow { log, branch, parent, fork_seq, tip_seq, tip_id })
        }
        Table::Ground => {
            if number.is_some() {
                values.null()?;
            }
            let (granted, hint, key) = (values.array()?, values.array()?, values.array()?);
            let number = if let Some(number) = number { number } else { values.number()? };
            Row::Ground { number, granted, hint, key }
        }
        Table::Entry => {
            values.null()?;
            let (id, ground, nonce) = (values.array()?, values.number()?, values.blob()?);
            let (body, erased) = (values.blob()?, values.number()?);
            Row::Entry { number: number?, id, ground, nonce, body, erased }
        }
        Table::Head => {
            values.null()?;
            Row::Head { entry: number?, signature: values.blob()? }
        }
    };
    Some(row)
}

struct Values(std::vec::IntoIter<Value>);

impl Values {
    fn null(&mut self) -> Option<()> {
        matches!(self.0.next()?, Value::Null).then_some(())
    }

    fn number(&mut self) -> Option<i64> {
        if let Value::Number(number) = self.0.next()? { Some(number) } else { None }
    }

    fn blob(&mut self) -> Option<Blob> {
        if let Value::Blob(bytes) = self.0.next()? { Some(bytes) } else { None }
    }

    fn text(&mut self) -> Option<String> {
        if let Value::Text(text) = self.0.next()? { Some(text) } else { None }
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.blob()?.as_slice().try_into().ok()
    }
}
