//! The reference model: what a set of entries comes to, by design.md section 9 and by nothing else.
//!
//! It shares the types of records with the core and none of its rules: whole sets of ancestors instead of
//! vectors, loops over everything instead of tables and indices. It is slow and meant to be read.

mod differs;

pub use differs::differs;

use daybook_core::clock::{DAY_MS, Hlc, TimeSource};
use daybook_core::daybook::AllergyStatus;
use daybook_core::id::{DeviceId, FindingId, PatientId};
use daybook_core::record::{
    Allergy, Coded, Dispense, Edit, EntryRef, Fact, FactId, FactKind, Field, FindingKind, Identifier, OpRef, Operation,
    PartialDate, Register, Setting, Sex, Standing, Statement,
};
use daybook_core::roster::CompartmentKind;
use std::collections::{BTreeMap, BTreeSet};

/// What an entry counts for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Counts {
    /// Accepted.
    Accepted,
    /// Its author had no right: its edits are passed through, its facts have no effect.
    Waits,
    /// Erased, faulty or unopened: as if it were not there.
    Gone,
}

/// An entry as the model takes it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// How it is named.
    pub reference: EntryRef,
    /// Who wrote it.
    pub device: DeviceId,
    /// Where.
    pub compartment: CompartmentKind,
    /// The entry before it in its chain.
    pub before: Option<usize>,
    /// The author's clock.
    pub hlc: Hlc,
    /// What it counts for.
    pub counts: Counts,
    /// Its operations in canonical bytes.
    pub operations: Vec<Vec<u8>>,
}

/// What the entries come to.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Model {
    /// Patients of whom anything accepted is said.
    pub patients: BTreeMap<PatientId, Patient>,
    /// On hand in millionths and whether it starts from a count, by place, product and lot.
    pub stock: BTreeMap<(String, String, String), (i64, bool)>,
    /// Kind of each finding and whether it is resolved.
    pub findings: BTreeMap<FindingId, (FindingKind, bool)>,
}

/// What is known of one patient.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Patient {
    /// Field, key and value of what registers show, and whether other values stand beside it.
    pub registers: BTreeSet<(Field, Vec<u8>, Vec<u8>, bool)>,
    /// Birth dates that stand.
    pub births: BTreeSet<PartialDate>,
    /// Sexes that stand.
    pub sexes: BTreeSet<Sex>,
    /// What is known of allergies.
    pub allergy: AllergyStatus,
    /// Whether a death stands.
    pub deceased: bool,
    /// Standing of each fact, whether it waits, and whether its time cannot be right.
    pub facts: BTreeMap<OpRef, (Standing, bool, bool)>,
    /// Findings about the patient.
    pub findings: BTreeSet<FindingId>,
}

/// A fact with what the rules need of its entry.
struct Said<'a> {
    entry: usize,
    at: OpRef,
    device: DeviceId,
    hlc: Hlc,
    waits: bool,
    late: bool,
    fact: Fact<'a>,
}

impl Said<'_> {
    fn id(&self) -> FactId {
        self.fact.import.map_or(FactId::Written(self.at), FactId::Imported)
    }

    fn named_by(&self, names: &[FactId], by: &Self) -> bool {
        let is_named = names.contains(&self.id()) || names.contains(&FactId::Written(self.at));
        is_named && self.at != by.at && self.id() != by.id()
    }
}

/// What the entries come to; what an entry names stands before it in the list.
#[must_use]
pub fn model(entries: &[Entry]) -> Model {
    let mut edits: BTreeMap<PatientId, Vec<(usize, Edit<'_>)>> = BTreeMap::new();
    let mut facts: Vec<Said<'_>> = Vec::new();
    let mut greatest: BTreeMap<(CompartmentKind, DeviceId), i64> = BTreeMap::new();
    for (place, entry) in entries.iter().enumerate().filter(|(_, e)| e.counts != Counts::Gone) {
        if entry.counts == Counts::Accepted {
            let latest = greatest.entry((entry.compartment, entry.device)).or_insert(i64::MIN);
            *latest = (*latest).max(entry.hlc.ms());
        }
        for (index, bytes) in entry.operations.iter().enumerate() {
            match Operation::read(bytes).expect("an operation of the generator") {
                Operation::Edit(edit) => edits.entry(edit.patient).or_default().push((place, edit)),
                Operation::Fact(fact) => facts.push(Said {
                    entry: place,
                    at: OpRef { entry: entry.reference, index: u8::try_from(index).expect("at most 64") },
                    device: entry.device,
                    hlc: entry.hlc,
                    waits: entry.counts == Counts::Waits,
                    late: false,
                    fact,
                }),
                Operation::Reading(_) | Operation::Newer => {}
            }
        }
    }
    for said in &mut facts {
        said.late = implausible(said, entries[said.entry].compartment, &greatest);
    }
    let mut by_patient: BTreeMap<PatientId, Vec<&Said<'_>>> = edits.keys().map(|p| (*p, Vec::new())).collect();
    let mut by_item: BTreeMap<(String, String), Vec<&Said<'_>>> = BTreeMap::new();
    let mut resolved: BTreeSet<FindingId> = BTreeSet::new();
    for said in &facts {
        match (said.fact.patient, &said.fact.statement) {
            (Some(patient), _) => by_patient.entry(patient).or_default().push(said),
            (None, Statement::StockMovement(m)) => by_item.entry(item(&m.product, m.lot)).or_default().push(said),
            (None, Statement::StockCount(c)) => by_item.entry(item(&c.product, c.lot)).or_default().push(said),
            (None, Statement::Resolution { findings }) if !said.waits => resolved.extend(findings),
            (None, _) => {}
        }
    }
    let mut model = Model::default();
    for (patient, facts) in &by_patient {
        let of_patient = edits.get(patient).map_or(&[][..], Vec::as_slice);
        let accepted = |entry: usize| entries[entry].counts == Counts::Accepted;
        let exists = of_patient.iter().any(|(e, _)| accepted(*e)) || facts.iter().any(|f| !f.waits);
        let standings = standings(facts);
        for (said, _) in facts.iter().zip(&standings).filter(|(f, s)| !f.waits && **s == Standing::Stands) {
            if let Statement::Resolution { findings } = &said.fact.statement {
                resolved.extend(findings);
            }
        }
        let raised = patient_findings(facts, &standings);
        let registers = registers(entries, of_patient);
        let mut one = about_patient(registers, facts, &standings);
        let mut add = |kind, about| one.findings.insert(raise(&mut model.findings, kind, about));
        for (kind, about) in raised {
            add(kind, about);
        }
        for (field, several) in [(Field::Birth, one.births.len() > 1), (Field::Sex, one.sexes.len() > 1)] {
            if several {
                add(FindingKind::ConcurrentValues, vec![patient.as_bytes().to_vec(), vec![field.number()]]);
            }
        }
        if exists {
            model.patients.insert(*patient, one);
        }
    }
    same_persons(&mut model);
    for ((product, lot), facts) in &by_item {
        stock(entries, (product, lot), facts, &mut model);
    }
    for (place, entry) in entries.iter().enumerate() {
        let (of, at) = (entry.reference.log, entry.reference.seq);
        if entries[..place].iter().any(|o| o.reference.log == of && o.reference.seq == at) {
            raise(&mut model.findings, FindingKind::Fork, vec![of.as_bytes().to_vec()]);
        }
    }
    for (id, (_, is_resolved)) in &mut model.findings {
        *is_resolved = resolved.contains(id);
    }
    model
}

fn raise(into: &mut BTreeMap<FindingId, (FindingKind, bool)>, kind: FindingKind, about: Vec<Vec<u8>>) -> FindingId {
    let id = finding_id(kind, about);
    into.insert(id, (kind, false));
    id
}

/// `H(finding, kind, sorted references)`, each reference after its length.
#[must_use]
pub fn finding_id(kind: FindingKind, about: Vec<Vec<u8>>) -> FindingId {
    let mut hasher = blake3::Hasher::new_derive_key("daybook 1 finding");
    hasher.update(&[kind as u8]);
    for one in about.into_iter().collect::<BTreeSet<_>>() {
        hasher.update(&u32::try_from(one.len()).expect("short").to_le_bytes()).update(&one);
    }
    FindingId::new(*hasher.finalize().as_bytes().first_chunk().expect("32 bytes"))
}

/// More than 30 days after the greatest time of all other devices, or a clock a day behind its own entry.
fn implausible(said: &Said<'_>, of: CompartmentKind, greatest: &BTreeMap<(CompartmentKind, DeviceId), i64>) -> bool {
    let others = greatest.iter().filter(|((kind, device), _)| *kind == of && *device != said.device);
    let (time, hlc_ms) = (said.fact.effective, said.hlc.ms());
    let late = others.map(|(_, ms)| *ms).max().is_some_and(|others| hlc_ms.max(time.ms) - others > 30 * DAY_MS);
    late || (time.source == TimeSource::Clock && hlc_ms - time.ms > DAY_MS)
}

/// What registers show: values whose writers no accepted edit of that register has among its ancestors.
fn registers(entries: &[Entry], edits: &[(usize, Edit<'_>)]) -> BTreeSet<(Field, Vec<u8>, Vec<u8>, bool)> {
    let mut ancestors: Vec<Vec<bool>> = Vec::new();
    for (entry, edit) in edits {
        let mut parents: Vec<usize> = Vec::new();
        for (place, (other, parent)) in edits.iter().enumerate() {
            let fits = edit.import.is_none() || parent.import.is_some();
            if fits && edit.parents.contains(&entries[*other].reference) {
                parents.push(place);
            }
        }
        let mut chain = entries[*entry].before;
        while let Some(earlier) = chain {
            if let Some(place) = edits.iter().position(|(e, _)| *e == earlier) {
                parents.push(place);
                break;
            }
            chain = entries[earlier].before;
        }
        let mut all = vec![false; edits.len()];
        for parent in parents {
            assert!(parent < ancestors.len(), "an edit stands before what it names");
            all[parent] = true;
            ancestors[parent].iter().zip(&mut all).for_each(|(theirs, ours)| *ours |= *theirs);
        }
        ancestors.push(all);
    }
    let mut writers = BTreeMap::<_, Vec<(usize, &Register<'_>)>>::new();
    for (place, (entry, edit)) in edits.iter().enumerate() {
        if entries[*entry].counts == Counts::Accepted {
            for register in &edit.registers {
                writers.entry((register.field, register.key)).or_default().push((place, register));
            }
        }
    }
    let mut shown = BTreeSet::new();
    for ((field, key), writers) in writers {
        let stays = |(place, _): &&(usize, &Register<'_>)| !writers.iter().any(|(by, _)| ancestors[*by][*place]);
        let values: BTreeSet<&[u8]> = writers.iter().filter(stays).map(|(_, register)| register.value).collect();
        let of_one = values.iter().filter(|value| ***value != [0xf6]);
        shown.extend(of_one.map(|value| (field, key.to_vec(), value.to_vec(), values.len() > 1)));
    }
    shown
}

/// What became of each fact of one subject. A fact has effect if it is accepted and nothing that has effect
/// takes it back; what cannot be decided, since it takes back itself through others, has none.
fn standings(facts: &[&Said<'_>]) -> Vec<Standing> {
    let is = |said: &Said<'_>, kind| said.fact.statement.kind() == kind;
    let takes_back = |by: &Said<'_>, of: &Said<'_>| {
        let kind_fits = is(by, FactKind::Refutation) || (is(by, FactKind::Reversal) && is(of, FactKind::Dispense));
        !by.waits && kind_fits && of.named_by(&by.fact.targets, by)
    };
    let mut has_effect: Vec<Option<bool>> = facts.iter().map(|f| f.waits.then_some(false)).collect();
    loop {
        let before = has_effect.clone();
        for (place, of) in facts.iter().enumerate().filter(|(place, _)| before[*place].is_none()) {
            let mut speakers = facts.iter().zip(&before).filter(|(by, _)| takes_back(by, of)).map(|(_, e)| *e);
            let all: Vec<Option<bool>> = speakers.by_ref().collect();
            if all.contains(&Some(true)) {
                has_effect[place] = Some(false);
            } else if all.iter().all(|e| *e == Some(false)) {
                has_effect[place] = Some(true);
            }
        }
        if before == has_effect {
            break;
        }
    }
    let mut standings = Vec::new();
    for of in facts {
        let speaks = |by: &&Said<'_>, e: &Option<bool>| *e == Some(true) && of.named_by(&by.fact.targets, by);
        let against: Vec<FactKind> = facts
            .iter()
            .zip(&has_effect)
            .filter(|(by, e)| speaks(by, e))
            .map(|(by, _)| by.fact.statement.kind())
            .collect();
        let own = of.fact.statement.kind();
        let repeated = of.fact.import.is_some() && !of.waits && facts.iter().any(|o| !o.waits && repeats(of, o));
        let superseded = facts.iter().zip(&has_effect).any(|(by, e)| *e == Some(true) && supersedes(by, of));
        standings.push(match () {
            () if repeated => Standing::Repeated,
            () if against.contains(&FactKind::Refutation) => Standing::Refuted,
            () if own == FactKind::Dispense && against.contains(&FactKind::Reversal) => Standing::Reversed,
            () if own != FactKind::Reversal && against.contains(&own) => Standing::Corrected,
            () if superseded => Standing::Superseded,
            () => Standing::Stands,
        });
    }
    standings
}

/// Whether an imported fact says the same as one that comes first under its id.
fn repeats(of: &Said<'_>, first: &Said<'_>) -> bool {
    first.fact.import == of.fact.import && first.at < of.at && told(first) == told(of)
}

/// A fact without what depends on who says it.
fn told<'a>(said: &Said<'a>) -> Fact<'a> {
    let mut fact = said.fact.clone();
    if let Statement::Observation(o) = &mut fact.statement {
        (o.seen, o.earlier) = (Vec::new(), false);
    }
    if let Statement::Dispense(d) = &mut fact.statement {
        d.heads = Vec::new();
    }
    fact
}

fn supersedes(by: &Said<'_>, of: &Said<'_>) -> bool {
    match (&by.fact.statement, &of.fact.statement) {
        (Statement::Observation(b), Statement::Observation(o)) => {
            let same = if b.code.code.is_empty() {
                b.code == o.code
            } else {
                (b.code.system, b.code.code) == (o.code.system, o.code.code)
            };
            same && !b.earlier && of.named_by(&b.seen, by)
        }
        (Statement::StockCount(b), Statement::StockCount(o)) => b.place == o.place && of.named_by(&b.seen, by),
        _ => false,
    }
}

fn about_patient(
    registers: BTreeSet<(Field, Vec<u8>, Vec<u8>, bool)>,
    facts: &[&Said<'_>],
    standings: &[Standing],
) -> Patient {
    let stands = |kind: FactKind| {
        facts.iter().zip(standings).any(|(f, s)| {
            let said = if let Statement::Allergy(a) = &f.fact.statement { a.verification.stands() } else { true };
            f.fact.statement.kind() == kind && *s == Standing::Stands && !f.waits && said
        })
    };
    let (mut births, mut sexes) = (BTreeSet::new(), BTreeSet::new());
    for (field, key, value, _) in &registers {
        match (Register { field: *field, key, value }).parse().expect("a register of the generator") {
            Setting::Birth(birth) => births.extend(birth),
            Setting::Sex(sex) => sexes.extend(sex),
            _ => {}
        }
    }
    // A date that says more than another that it agrees with wins; a known sex wins over `unknown`.
    let exact = |date: &PartialDate| !births.iter().any(|o| o.parts() > date.parts() && o.compatible(date));
    let births = births.iter().copied().filter(exact).collect();
    if sexes.len() > 1 {
        sexes.remove(&Sex::Unknown);
    }
    Patient {
        births,
        sexes,
        registers,
        allergy: match (stands(FactKind::Allergy), stands(FactKind::NoKnownAllergies)) {
            (true, _) => AllergyStatus::Allergic,
            (false, true) => AllergyStatus::NoneKnown,
            (false, false) => AllergyStatus::NotAsked,
        },
        deceased: stands(FactKind::Deceased),
        facts: facts.iter().zip(standings).map(|(f, s)| (f.at, (*s, f.waits, f.late))).collect(),
        findings: BTreeSet::new(),
    }
}

fn patient_findings(facts: &[&Said<'_>], standings: &[Standing]) -> Vec<(FindingKind, Vec<Vec<u8>>)> {
    let mut findings = Vec::new();
    let stand = || facts.iter().zip(standings).filter(|(f, s)| **s == Standing::Stands && !f.waits).map(|(f, _)| *f);
    let dispenses: Vec<(&Said<'_>, &Dispense<'_>)> = stand()
        .filter_map(|f| if let Statement::Dispense(d) = &f.fact.statement { Some((f, d)) } else { None })
        .collect();
    for (place, a) in dispenses.iter().enumerate() {
        for b in dispenses.iter().skip(place + 1).filter(|b| same_class(&a.1.product, &b.1.product)) {
            let order = |d: &(&Said<'_>, &Dispense<'_>)| (d.0.fact.effective.ms, d.0.at);
            let (first, second) = if order(a) < order(b) { (a, b) } else { (b, a) };
            let vague = |said: &Said<'_>| said.late || said.fact.effective.coarser_than_a_day();
            let supply_ms = i64::from(first.1.days.unwrap_or(1)) * DAY_MS;
            let left_ms = first.0.fact.effective.ms + supply_ms - second.0.fact.effective.ms;
            if vague(a.0) || vague(b.0) || left_ms > (2 * DAY_MS).min(supply_ms / 2) {
                findings.push((FindingKind::DuplicateDispense, vec![a.0.id().to_bytes(), b.0.id().to_bytes()]));
            }
        }
    }
    // An allergy that waits for review warns too: its author may have had no right, the patient one all the same.
    for (said, _) in facts.iter().zip(standings).filter(|(_, s)| **s == Standing::Stands) {
        let Statement::Allergy(allergy) = &said.fact.statement else { continue };
        for (dispensed, dispense) in dispenses.iter().filter(|_| allergy.verification.stands()) {
            let about = vec![dispensed.id().to_bytes(), said.id().to_bytes()];
            findings.extend(allergy_check(allergy, &dispense.product).map(|kind| (kind, about)));
        }
    }
    findings.extend(stand().filter(|f| f.late).map(|f| (FindingKind::ImplausibleTime, vec![f.id().to_bytes()])));
    let weight = |said: &&Said<'_>| matches!(&said.fact.statement, Statement::Observation(o) if o.code.code == "29463-7" && !o.earlier);
    let weights: Vec<&Said<'_>> = stand().filter(weight).collect();
    let value = |said: &Said<'_>| {
        if let Statement::Observation(o) = &said.fact.statement { format!("{:?}", o.value) } else { String::new() }
    };
    if weights.iter().map(|w| value(w)).collect::<BTreeSet<_>>().len() > 1 {
        findings.push((FindingKind::ConcurrentValues, weights.iter().map(|w| w.id().to_bytes()).collect()));
    }
    let mut imports: BTreeMap<_, Vec<&Said<'_>>> = BTreeMap::new();
    for (said, _) in facts.iter().zip(standings).filter(|(f, s)| **s != Standing::Repeated && !f.waits) {
        if let Some(import) = said.fact.import {
            imports.entry((import, said.fact.statement.kind())).or_default().push(said);
        }
    }
    for ((import, _), several) in imports.iter().filter(|(_, several)| several.len() > 1) {
        let mut about = vec![import.as_bytes().to_vec()];
        about.extend(several.iter().map(|said| FactId::Written(said.at).to_bytes()));
        findings.push((FindingKind::ImportDiffers, about));
    }
    findings
}

/// What the generator hands out and what patients are allergic to, by code or word, with its class.
const TABLE: &[(&str, &str)] = &[
    ("1650143", "tetracycline"),
    ("309309", "quinolone"),
    ("doxycycline", "tetracycline"),
    ("ciprofloxacin", "quinolone"),
    ("levofloxacin", "quinolone"),
    ("quinolones", "quinolone"),
    ("amoxicillin", "penicillin"),
    ("penicillin", "penicillin"),
];

fn words(text: &str) -> Vec<String> {
    text.to_lowercase().split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).map(str::to_owned).collect()
}

fn class(coded: &Coded<'_>) -> Option<&'static str> {
    let known = |word: &str| TABLE.iter().find(|(name, _)| *name == word).map(|(_, class)| *class);
    known(coded.code).or_else(|| words(coded.shown()).iter().find_map(|word| known(word)))
}

fn same_class(a: &Coded<'_>, b: &Coded<'_>) -> bool {
    match (class(a), class(b)) {
        (None, None) => product(a) == product(b),
        (a, b) => a == b,
    }
}

/// What the check of a product against an allergy raises. What the table does not know is compared by its
/// words; an allergy to food or surroundings that the table does not know spares every other product.
fn allergy_check(allergy: &Allergy<'_>, product: &Coded<'_>) -> Option<FindingKind> {
    let (substance, of_product) = (words(allergy.substance.shown()), words(product.shown()));
    let within = |few: &[String], many: &[String]| few.iter().all(|word| many.contains(word));
    let same_code = !product.code.is_empty()
        && (product.system, product.code) == (allergy.substance.system, allergy.substance.code);
    if same_code || within(&substance, &of_product) || within(&of_product, &substance) {
        return Some(FindingKind::AllergyConflict);
    }
    match (class(&allergy.substance), class(product)) {
        (Some(a), Some(b)) => (a == b).then_some(FindingKind::AllergyConflict),
        (None, _) if matches!(allergy.category, "food" | "environment") => None,
        _ => Some(FindingKind::AllergyNotChecked),
    }
}

/// Two patients that bear one identifier are possibly the same person.
fn same_persons(model: &mut Model) {
    let mut bearers: BTreeMap<(String, String), BTreeSet<PatientId>> = BTreeMap::new();
    for (patient, one) in &model.patients {
        for (field, key, value, _) in &one.registers {
            let register = Register { field: *field, key, value };
            if let Ok(Setting::Identifier(Identifier { system, value }, _)) = register.parse() {
                bearers.entry((system.to_owned(), value.trim().to_owned())).or_default().insert(*patient);
            }
        }
    }
    for several in bearers.values() {
        for (a, b) in several.iter().flat_map(|a| several.iter().filter(move |b| a < *b).map(move |b| (a, b))) {
            let about = vec![a.as_bytes().to_vec(), b.as_bytes().to_vec()];
            let id = raise(&mut model.findings, FindingKind::PossiblySamePerson, about);
            for patient in [a, b] {
                model.patients.get_mut(patient).expect("it bears one").findings.insert(id);
            }
        }
    }
}

/// A product by its code, else by its text.
fn product(coded: &Coded<'_>) -> String {
    if coded.code.is_empty() {
        coded.display.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
    } else {
        format!("{}|{}", coded.system, coded.code)
    }
}

/// A product and a lot: what is counted together.
#[must_use]
pub fn item(of: &Coded<'_>, lot: &str) -> (String, String) {
    (product(of), lot.trim().to_owned())
}

/// Bytes that name an item in findings.
#[must_use]
pub fn item_bytes((product, lot): (&str, &str)) -> Vec<u8> {
    [product.as_bytes(), &[0], lot.as_bytes()].concat()
}

/// A count and every movement that it had not seen; of concurrent counts the lowest; else all movements.
fn stock(entries: &[Entry], (of_product, lot): (&str, &str), facts: &[&Said<'_>], model: &mut Model) {
    let standings = standings(facts);
    let stand: Vec<&Said<'_>> =
        facts.iter().zip(&standings).filter(|(f, s)| **s == Standing::Stands && !f.waits).map(|(f, _)| *f).collect();
    let mut places: BTreeMap<&str, Vec<&Said<'_>>> = BTreeMap::new();
    for said in &stand {
        let touched = match &said.fact.statement {
            Statement::StockMovement(m) => BTreeSet::from([m.from, m.to]),
            Statement::StockCount(c) => BTreeSet::from([c.place]),
            _ => BTreeSet::new(),
        };
        touched.into_iter().filter(|p| !p.is_empty()).for_each(|p| places.entry(p).or_default().push(said));
    }
    for (place, facts) in places {
        let moved = |after: &[FactId]| -> i64 {
            let mut sum = 0;
            for said in &facts {
                let Statement::StockMovement(m) = &said.fact.statement else { continue };
                if !after.iter().any(|named| had_seen(entries, named, said)) {
                    let micros = i64::try_from(m.quantity.micros()).expect("a million at most");
                    sum += if m.to == place { micros } else { 0 } - if m.from == place { micros } else { 0 };
                }
            }
            sum
        };
        let mut totals = BTreeSet::new();
        let mut about = vec![item_bytes((of_product, lot)), place.as_bytes().to_vec()];
        for said in &facts {
            if let Statement::StockCount(count) = &said.fact.statement {
                totals.insert(i64::try_from(count.quantity.micros()).expect("a million at most") + moved(&count.after));
                about.push(said.id().to_bytes());
            }
        }
        let on_hand = totals.first().copied().unwrap_or_else(|| moved(&[]));
        let line = (place.to_owned(), of_product.to_owned(), lot.to_owned());
        model.stock.insert(line, (on_hand, !totals.is_empty()));
        if on_hand < 0 {
            raise(&mut model.findings, FindingKind::StockNegative, about[..2].to_vec());
        }
        if totals.len() > 1 {
            raise(&mut model.findings, FindingKind::ConcurrentCounts, about);
        }
    }
}

/// Whether who named a movement had seen another: it is that one's entry, or an earlier one of its chain.
fn had_seen(entries: &[Entry], named: &FactId, moved: &Said<'_>) -> bool {
    let FactId::Written(named) = named else { return false };
    let mut at = entries.iter().position(|e| e.reference == named.entry && e.counts != Counts::Gone);
    if at.is_none() {
        // Not open here: a lower place of its log was before it.
        return named.entry.log == moved.at.entry.log && moved.at.entry.seq <= named.entry.seq;
    }
    while let Some(place) = at {
        if place == moved.entry {
            return true;
        }
        at = entries[place].before;
    }
    false
}
