//! Compartments that administrators make, one a site on demand, and the rights of somebody who works at one site.

use super::error::AdministrationError;
use super::revoke::{codes, may};
use crate::crypto::Place;
use crate::daybook::Daybook;
use crate::daybook::error::Error;
use crate::daybook::keys::begin_epoch;
use crate::daybook::state::{FIELD_COMPARTMENT_NAME, State};
use crate::daybook::types::EntryCode;
use crate::daybook::writing::seal_text;
use crate::id::CompartmentId;
use crate::limits::TEXT_BYTES_MAX;
use crate::roster::{CompartmentKind, Control, Rights, RightsByScope, Scope};

/// A compartment with its name, as far as the directory opens here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Site {
    /// Its id.
    pub compartment: CompartmentId,
    /// What it is for.
    pub kind: CompartmentKind,
    /// Its name.
    pub name: Option<String>,
}

impl Daybook {
    /// Makes a compartment with a name and its first epoch, whose key goes to all who may have it.
    ///
    /// # Errors
    /// [`Error::Value`] if the name is empty or too long, [`AdministrationError`], [`Error::NoRight`]; nothing was
    /// written.
    pub fn add_compartment(&mut self, kind: CompartmentKind, name: &str) -> Result<(Site, Vec<EntryCode>), Error> {
        let name = name.trim();
        if name.is_empty() {
            return Err(Error::Value { what: "the name", why: "must not be empty" });
        }
        if name.len() > TEXT_BYTES_MAX / 2 {
            return Err(Error::Value { what: "the name", why: "is too long" });
        }
        self.write(|writer| {
            may(writer.state, Rights::COMPARTMENT)?;
            if sites(writer.state).iter().any(|site| site.kind == kind && site.is_named(name)) {
                return Err(AdministrationError::SiteExists.into());
            }
            let (_, left) = writer.state.ring.roster.budget_left(&writer.state.grant, writer.state.device_id);
            if left == 0 {
                return Err(AdministrationError::NoCompartmentsLeft.into());
            }
            let id = writer.control(|state, place| {
                let name = Some(seal_text(state, place, FIELD_COMPARTMENT_NAME, name)?);
                Ok(Control::Compartment { kind, name })
            })?;
            let compartment = CompartmentId::new(*id.as_bytes());
            begin_epoch(writer, compartment)?;
            Ok((Site { compartment, kind, name: Some(name.to_owned()) }, codes(writer.state, &[id])))
        })
    }

    /// All compartments, in rising order of kind, name and id.
    ///
    /// # Errors
    /// [`Error`] if the book cannot be read.
    pub fn compartments(&mut self) -> Result<Vec<Site>, Error> {
        self.refresh()?;
        Ok(sites(&self.state))
    }
}

impl Site {
    fn is_named(&self, name: &str) -> bool {
        self.name.as_deref().is_some_and(|own| own.to_lowercase() == name.trim().to_lowercase())
    }
}

/// All compartments with their names.
fn sites(state: &State) -> Vec<Site> {
    let mut sites = Vec::new();
    for entry in &state.control {
        let Control::Compartment { kind, name } = &entry.control else { continue };
        let compartment = CompartmentId::new(*entry.place.id.as_bytes());
        if !state.ring.roster.compartments().contains_key(&compartment) {
            continue;
        }
        let place = Place { incident: state.ring.incident, log: entry.place.log, seq: entry.place.seq };
        let name = name.as_ref().and_then(|name| state.open_text(name, place, FIELD_COMPARTMENT_NAME));
        sites.push(Site { compartment, kind: *kind, name });
    }
    sites.sort_by(|a, b| (a.kind, &a.name, a.compartment).cmp(&(b.kind, &b.name, b.compartment)));
    sites.dedup();
    sites
}

/// Rights of a role at one site: what it gives in clinical and supply holds in the compartments of that name
/// alone.
pub(in crate::daybook) fn at_site(
    state: &State,
    rights: &RightsByScope,
    site: &str,
) -> Result<RightsByScope, AdministrationError> {
    let named: Vec<Site> = sites(state).into_iter().filter(|of| of.is_named(site)).collect();
    if named.is_empty() {
        return Err(AdministrationError::NoSuchSite);
    }
    let narrowed = rights.iter().flat_map(|(scope, rights)| match scope {
        Scope::Kind(kind @ (CompartmentKind::Clinical | CompartmentKind::Supply)) => {
            let of_kind = named.iter().filter(|site| site.kind == *kind);
            of_kind.map(|site| (Scope::Compartment(site.compartment), *rights)).collect()
        }
        scope => vec![(*scope, *rights)],
    });
    Ok(narrowed.collect())
}
