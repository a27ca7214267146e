//! The same for people who say a name: what a person's devices could read, and further shifts.

use super::exposure::Exposure;
use crate::daybook::Daybook;
use crate::daybook::administration::named;
use crate::daybook::charts::entry_code;
use crate::daybook::error::Error;
use crate::daybook::types::{Author, EntryCode};
use crate::record::EntryRef;

impl Daybook {
    /// [`Daybook::exposure`] of the devices that a text names: the beginning of a device id, or a person.
    ///
    /// # Errors
    /// As of [`Daybook::exposure`], and if nobody or more than one person is named so.
    pub fn exposure_of(&mut self, who: &str) -> Result<Vec<Exposure>, Error> {
        self.refresh()?;
        let devices = named(&self.state, who)?;
        devices.into_iter().map(|device| self.exposure(device)).collect()
    }

    /// [`Daybook::extend_shift`] of the devices that a text names, with the entries of their new grants.
    ///
    /// # Errors
    /// As of [`Daybook::extend_shift`], and if nobody or more than one person is named so. Devices that come before
    /// the one that fails, in rising order of id, keep their new grants.
    pub fn extend_shift_of(&mut self, who: &str, until_ms: Option<i64>) -> Result<Vec<(Author, EntryCode)>, Error> {
        self.refresh()?;
        let mut extended = Vec::new();
        for device in named(&self.state, who)? {
            let id = self.extend_shift(device, until_ms)?;
            let place = self.state.control.iter().map(|entry| entry.place).find(|place| place.id == id);
            let code = place.map(|place| entry_code(&EntryRef::new(place.log, place.seq, &place.id), 0));
            extended.extend(code.map(|code| (self.state.author(device), code)));
        }
        Ok(extended)
    }
}
