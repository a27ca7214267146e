//! The registers of a patient's record: their numbers, keys and values.
//!
//! A register is one field, or one element of a set field keyed by its canonical value. Its value is kept
//! as canonical bytes, so that merge compares and carries what it never needs to understand; null clears.

use super::value::{PartialDate, Sex};
use crate::codec::{Malformed, Reader, Writer};
use crate::id::PatientId;
use crate::limits::TEXT_BYTES_MAX;

/// Which field of the record.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Field {
    /// Birth date, as far as known; one register.
    Birth = 1,
    /// Administrative sex; one register.
    Sex = 2,
    /// Names; a set keyed by the name, each with its use.
    Name = 16,
    /// Identifiers, cards, wristbands and tags; a set keyed by system and value, each with its type.
    Identifier = 17,
    /// Phones and e-mail addresses; a set keyed by kind and value, each with its use.
    Telecom = 18,
    /// Addresses; a set keyed by the address, each with its use.
    Address = 19,
    /// Households; a set keyed by the household, each with the role in it.
    Household = 20,
    /// Languages; a set keyed by the code, each with what is said of it (`preferred` or nothing).
    Language = 21,
}

impl Field {
    /// All fields in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::Birth,
        Self::Sex,
        Self::Name,
        Self::Identifier,
        Self::Telecom,
        Self::Address,
        Self::Household,
        Self::Language,
    ];

    /// The field of a number, if this version knows it.
    #[must_use]
    pub fn from_number(number: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|field| u64::from(field.number()) == number)
    }

    /// The number in the format.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Whether its registers are elements of a set: present or withdrawn, present wins when concurrent.
    #[must_use]
    pub const fn is_set(self) -> bool {
        match self {
            Self::Birth | Self::Sex => false,
            Self::Name | Self::Identifier | Self::Telecom | Self::Address | Self::Household | Self::Language => true,
        }
    }

    /// The word for people and for the command line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Birth => "birth",
            Self::Sex => "sex",
            Self::Name => "name",
            Self::Identifier => "identifier",
            Self::Telecom => "phone",
            Self::Address => "address",
            Self::Household => "household",
            Self::Language => "language",
        }
    }
}

/// One register as an edit sets it: canonical bytes of key and value.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Register<'a> {
    /// The field.
    pub field: Field,
    /// Canonical bytes of the element's key; empty for a field that is no set.
    pub key: &'a [u8],
    /// Canonical bytes of the value; null (0xf6) clears or withdraws.
    pub value: &'a [u8],
}

/// The canonical bytes of null.
pub const NULL: &[u8] = &[0xf6];

impl<'a> Register<'a> {
    /// Whether it clears the field or withdraws the element.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.value == NULL
    }

    /// What it says, as a typed value.
    ///
    /// # Errors
    /// [`Malformed`] if key or value do not fit the field.
    pub fn parse(&self) -> Result<Setting<'a>, Malformed> {
        let what = Element::read(self.field, self.key, self.value)?;
        Ok(what)
    }

    /// Writes `[field, value]`, or `[field, key, value]` for an element of a set.
    pub(super) fn write(&self, to: &mut Writer) {
        if self.field.is_set() {
            to.list(3).uint(u64::from(self.field.number())).raw(self.key).raw(self.value);
        } else {
            to.list(2).uint(u64::from(self.field.number())).raw(self.value);
        }
    }

    /// Reads the same and checks it against the field.
    pub(super) fn read(from: &mut Reader<'a>) -> Result<Self, Malformed> {
        let count = from.list(3)?;
        if count < 2 {
            return Err(Malformed::Schema);
        }
        let field = Field::from_number(from.uint()?).ok_or(Malformed::Newer)?;
        if count != 2 + usize::from(field.is_set()) {
            return Err(Malformed::Schema);
        }
        let key = if field.is_set() { from.raw()? } else { &[] };
        let register = Self { field, key, value: from.raw()? };
        if !from.was_read_before() {
            register.parse()?;
        }
        Ok(register)
    }
}

/// A register with its content understood; the value is missing where it clears or withdraws.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Setting<'a> {
    /// Birth date.
    Birth(Option<PartialDate>),
    /// Administrative sex.
    Sex(Option<Sex>),
    /// A name and its use (`official`, `usual`, `alias` ...).
    Name(Name<'a>, Option<&'a str>),
    /// An identifier and its type (v2-0203 code such as `MR`, may be empty).
    Identifier(Identifier<'a>, Option<&'a str>),
    /// A phone or e-mail address and its use.
    Telecom(Telecom<'a>, Option<&'a str>),
    /// An address and its use.
    Address(Address<'a>, Option<&'a str>),
    /// A household, by the id of the patient it began with, and the role in it.
    Household(PatientId, Option<&'a str>),
    /// A language (BCP 47), and `preferred` or nothing.
    Language(&'a str, Option<&'a str>),
}

/// A person's name; some part of it is not empty.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Name<'a> {
    /// Family name.
    pub family: &'a str,
    /// Given names in order, at most 8.
    pub given: Vec<&'a str>,
    /// The name as one text, where its parts are not known.
    pub text: &'a str,
}

/// An identifier in its system: card, wristband, tag, number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Identifier<'a> {
    /// URI of the system; `tag` for a wristband or triage tag.
    pub system: &'a str,
    /// The value.
    pub value: &'a str,
}

/// A way to reach somebody.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Telecom<'a> {
    /// FHIR's system: `phone`, `email`, `sms` ...
    pub system: &'a str,
    /// The number or address.
    pub value: &'a str,
}

/// A postal address; some part of it is not empty.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Address<'a> {
    /// Lines in order, at most 8.
    pub lines: Vec<&'a str>,
    /// City.
    pub city: &'a str,
    /// District or county.
    pub district: &'a str,
    /// State or province.
    pub state: &'a str,
    /// Postal code.
    pub postal_code: &'a str,
    /// Country.
    pub country: &'a str,
}

/// Most given names of a name and lines of an address.
const PARTS_MAX: usize = 8;

impl Setting<'_> {
    /// The field it belongs to.
    #[must_use]
    pub const fn field(&self) -> Field {
        match self {
            Self::Birth(_) => Field::Birth,
            Self::Sex(_) => Field::Sex,
            Self::Name(..) => Field::Name,
            Self::Identifier(..) => Field::Identifier,
            Self::Telecom(..) => Field::Telecom,
            Self::Address(..) => Field::Address,
            Self::Household(..) => Field::Household,
            Self::Language(..) => Field::Language,
        }
    }

    /// Canonical bytes of key (empty for a field that is no set) and value.
    #[must_use]
    pub fn to_bytes(&self) -> (Vec<u8>, Vec<u8>) {
        let (mut key, mut value) = (Writer::new(), Writer::new());
        let mut word = |said: Option<&str>| {
            match said {
                Some(text) => value.text(text),
                None => value.null(),
            };
        };
        match self {
            Self::Birth(Some(date)) => date.write(&mut value),
            Self::Sex(Some(sex)) => {
                value.uint(*sex as u64);
            }
            Self::Birth(None) | Self::Sex(None) => {
                value.null();
            }
            Self::Name(name, usage) => {
                key.list(3).text(name.family).list(name.given.len());
                name.given.iter().for_each(|given| {
                    key.text(given);
                });
                key.text(name.text);
                word(*usage);
            }
            Self::Identifier(Identifier { system, value }, usage) | Self::Telecom(Telecom { system, value }, usage) => {
                key.list(2).text(system).text(value);
                word(*usage);
            }
            Self::Address(address, usage) => {
                key.list(6).list(address.lines.len());
                address.lines.iter().for_each(|line| {
                    key.text(line);
                });
                key.text(address.city).text(address.district).text(address.state);
                key.text(address.postal_code).text(address.country);
                word(*usage);
            }
            Self::Household(household, role) => {
                key.bytes(household.as_bytes());
                word(*role);
            }
            Self::Language(code, usage) => {
                key.text(code);
                word(*usage);
            }
        }
        (key.finish(), value.finish())
    }
}

/// Reads what a register's bytes say.
struct Element;

impl Element {
    fn read<'a>(field: Field, key: &'a [u8], value: &'a [u8]) -> Result<Setting<'a>, Malformed> {
        let (mut key, mut value) = (Reader::new(key), Reader::new(value));
        let setting = if value.null()? {
            Self::read_with(field, &mut key, None)?
        } else {
            Self::read_with(field, &mut key, Some(&mut value))?
        };
        key.end()?;
        value.end()?;
        Ok(setting)
    }

    fn read_with<'a>(
        field: Field,
        key: &mut Reader<'a>,
        value: Option<&mut Reader<'a>>,
    ) -> Result<Setting<'a>, Malformed> {
        let word = |value: Option<&mut Reader<'a>>| value.map(|v| v.text(TEXT_BYTES_MAX)).transpose();
        Ok(match field {
            Field::Birth => Setting::Birth(value.map(PartialDate::read).transpose()?),
            Field::Sex => Setting::Sex(value.map(read_sex).transpose()?),
            Field::Name => {
                key.tuple(3)?;
                let family = key.text(TEXT_BYTES_MAX)?;
                let name = Name { family, given: read_parts(key)?, text: key.text(TEXT_BYTES_MAX)? };
                if name == Name::default() {
                    return Err(Malformed::Bounds);
                }
                Setting::Name(name, word(value)?)
            }
            Field::Identifier => {
                let (system, of_system) = read_pair(key)?;
                Setting::Identifier(Identifier { system, value: of_system }, word(value)?)
            }
            Field::Telecom => {
                let (system, of_system) = read_pair(key)?;
                Setting::Telecom(Telecom { system, value: of_system }, word(value)?)
            }
            Field::Address => {
                key.tuple(6)?;
                let lines = read_parts(key)?;
                let mut part = || key.text(TEXT_BYTES_MAX);
                let (city, district, state, postal_code, country) = (part()?, part()?, part()?, part()?, part()?);
                let address = Address { lines, city, district, state, postal_code, country };
                if address == Address::default() {
                    return Err(Malformed::Bounds);
                }
                Setting::Address(address, word(value)?)
            }
            Field::Household => Setting::Household(PatientId::new(key.array()?), word(value)?),
            Field::Language => {
                let code = key.text(TEXT_BYTES_MAX)?;
                if code.is_empty() {
                    return Err(Malformed::Bounds);
                }
                Setting::Language(code, word(value)?)
            }
        })
    }
}

fn read_sex(from: &mut Reader<'_>) -> Result<Sex, Malformed> {
    Sex::ALL.get(usize::from(from.byte()?)).copied().ok_or(Malformed::Bounds)
}

/// System and value; the value is not empty.
fn read_pair<'a>(from: &mut Reader<'a>) -> Result<(&'a str, &'a str), Malformed> {
    from.tuple(2)?;
    let (system, value) = (from.text(TEXT_BYTES_MAX)?, from.text(TEXT_BYTES_MAX)?);
    if value.is_empty() { Err(Malformed::Bounds) } else { Ok((system, value)) }
}

fn read_parts<'a>(from: &mut Reader<'a>) -> Result<Vec<&'a str>, Malformed> {
    let count = from.list(PARTS_MAX)?;
    (0..count).map(|_| from.text(TEXT_BYTES_MAX)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_reads_back() {
        let settings = [
            Setting::Birth(PartialDate::parse("1943-03")),
            Setting::Sex(Some(Sex::Female)),
            Setting::Sex(None),
            Setting::Name(Name { family: "王", given: vec!["小明", "x"], text: "" }, Some("official")),
            Setting::Identifier(Identifier { system: "tag", value: "A-17" }, Some("")),
            Setting::Identifier(Identifier { system: "tag", value: "A-17" }, None),
            Setting::Telecom(Telecom { system: "phone", value: "555" }, Some("home")),
            Setting::Address(Address { lines: vec!["1 Main St"], city: "Bloom", ..Address::default() }, Some("home")),
            Setting::Household(PatientId::new([7; 16]), Some("head")),
            Setting::Language("ar", Some("preferred")),
        ];
        for setting in settings {
            let (key, value) = setting.to_bytes();
            let register = Register { field: setting.field(), key: &key, value: &value };
            assert_eq!(register.parse().as_ref(), Ok(&setting));
            let mut to = Writer::new();
            register.write(&mut to);
            let bytes = to.finish();
            crate::codec::check(&bytes).unwrap();
            assert_eq!(Register::read(&mut Reader::new(&bytes)), Ok(register));
        }
    }

    #[test]
    fn values_that_do_not_fit_their_field_are_malformed() {
        let name_without_parts = Setting::Name(Name::default(), Some("")).to_bytes();
        let bytes = |field, key: &[u8], value: &[u8]| Register { field, key, value }.parse().map(drop);
        assert_eq!(bytes(Field::Name, &name_without_parts.0, &name_without_parts.1), Err(Malformed::Bounds));
        assert_eq!(bytes(Field::Sex, &[], &[4]), Err(Malformed::Bounds));
        assert_eq!(bytes(Field::Sex, &[], &[0x60]), Err(Malformed::Schema));
        assert_eq!(bytes(Field::Household, &[0x41, 1], &[0x60]), Err(Malformed::Schema));
        assert_eq!(Register::read(&mut Reader::new(&[0x82, 0x18, 99, 0])), Err(Malformed::Newer));
    }
}
