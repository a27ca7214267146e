//! Several roots begin an incident together; whatever comes between, they begin the same one or none.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use daybook_core::clock::Host;
use daybook_core::daybook::{
    CodeKind, Daybook, EnrolmentError, Error, NewIncident, Proposal, RootRequest, RootSignature, RootsError,
};
use daybook_tests::host::SeededHost;
use daybook_tests::people::{PASSPHRASE, People, hand_over};

fn root(people: &mut People, name: &str) -> RootRequest {
    let mut host = people.host();
    let names = (name, name);
    Daybook::begin_root_request(&people.path(name), PASSPHRASE, names, false, host.as_mut()).unwrap()
}

fn propose(people: &mut People, others: &[RootRequest]) -> Proposal {
    let new = NewIncident {
        incident: "Border flood".into(),
        organisation: "North".into(),
        person: "R. Alvarez".into(),
        exercise: true,
    };
    let mut host = people.host();
    let folder = people.path("North");
    Daybook::propose(&folder, PASSPHRASE, &new, (others, None), false, host.as_mut()).unwrap()
}

fn sign(people: &People, name: &str, proposal: &Proposal) -> RootSignature {
    Daybook::sign_proposal(&people.path(name), PASSPHRASE, proposal).unwrap()
}

fn refused<T: std::fmt::Debug>(answer: Result<T, Error>) -> RootsError {
    match answer.unwrap_err() {
        Error::Roots(error) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn power_that_fails_while_the_incident_begins_costs_nobody_his_place() {
    let mut people = People::default();
    let others = [root(&mut people, "South"), root(&mut people, "West")];
    let proposal = propose(&mut people, &others);
    let signatures = [sign(&people, "West", &proposal), sign(&people, "South", &proposal)];
    let folder = people.path("North");
    let waits = std::fs::read(folder.join("proposal")).unwrap();
    let mut begun = Daybook::complete(&folder, PASSPHRASE, (&signatures, &[]), people.host()).unwrap();
    assert!(!folder.join("proposal").exists());
    let seed = begun.seed.print().expose().to_vec();
    let compartments = begun.book.roster().unwrap().compartments().len();
    drop(begun);
    // As if power had failed before the answer was shown: the proposal is there still.
    std::fs::write(folder.join("proposal"), waits).unwrap();
    let mut begun = Daybook::complete(&folder, PASSPHRASE, (&signatures, &[]), people.host()).unwrap();
    assert_eq!(begun.seed.print().expose(), seed);
    assert_eq!(begun.book.roster().unwrap().compartments().len(), compartments, "nothing is made twice");
    let mut books = Vec::new();
    for reply in &begun.replies {
        books.push(people.accept(reply.root.organisation(), &reply.reply));
    }
    for book in &mut books {
        assert_eq!(book.status().unwrap().entries.unopened, 0);
        hand_over(book, &mut begun.book);
    }
    let roster = begun.book.roster().unwrap();
    assert_eq!((roster.roots().count(), roster.compartments().len()), (3, compartments));
}

#[test]
fn a_signature_is_of_one_root_under_one_proposal() {
    let mut people = People::default();
    let others = [root(&mut people, "South"), root(&mut people, "West")];
    let proposal = propose(&mut people, &others);
    let (south, west) = (sign(&people, "South", &proposal), sign(&people, "West", &proposal));
    let folder = people.path("North");
    let complete = |signatures: &[RootSignature]| {
        Daybook::complete(&folder, PASSPHRASE, (signatures, &[]), Box::new(SeededHost::new(70)))
    };
    // West's signature in South's place, and one bit of it changed.
    for (place, bit) in [(33, 1 ^ 2), (40, 1)] {
        let mut bytes = west.to_bytes();
        bytes[place] ^= bit;
        let changed = RootSignature::read(&bytes).unwrap();
        let given: Vec<RootSignature> =
            if place == 33 { vec![changed, west.clone()] } else { vec![south.clone(), changed] };
        let organisation = if place == 33 { "South" } else { "West" }.to_owned();
        assert_eq!(refused(complete(&given)), RootsError::BadSignature { organisation });
    }
    let missing =
        |names: &[&str]| RootsError::Missing { organisations: names.iter().map(|n| (*n).to_owned()).collect() };
    assert_eq!(refused(complete(&[])), missing(&["South", "West"]));
    assert_eq!(refused(complete(&[west.clone(), west.clone()])), missing(&["South"]));
    assert!(!folder.join("book.db").exists());
    // A bad one beside the right one does no harm.
    let mut bytes = west.to_bytes();
    bytes[60] ^= 1;
    let begun = complete(&[RootSignature::read(&bytes).unwrap(), south, west]).unwrap();
    assert_eq!(begun.replies.len(), 2);
    assert_eq!(refused(complete(&[])), RootsError::Begun);
}

#[test]
fn nobody_signs_for_the_proposer_or_under_keys_that_are_not_his() {
    let mut people = People::default();
    let south = root(&mut people, "South");
    let stranger = root(&mut people, "Stranger");
    let proposal = propose(&mut people, &[stranger]);
    let of_south = Daybook::sign_proposal(&people.path("South"), PASSPHRASE, &proposal);
    assert_eq!(refused(of_south), RootsError::NotAmong, "somebody changed the request on its way");
    let all: Vec<RootRequest> = (0..16).map(|of| root(&mut people, &format!("Root {of}"))).collect();
    let new = NewIncident { incident: "I".into(), organisation: "O".into(), person: "P".into(), exercise: false };
    let mut host = people.host();
    let folder = people.path("Many");
    let mut propose = |others: &[RootRequest], quorum| {
        Daybook::propose(&folder, PASSPHRASE, &new, (others, quorum), true, host.as_mut())
    };
    assert_eq!(refused(propose(&all, None)), RootsError::TooMany);
    assert_eq!(refused(propose(&[], None)), RootsError::Alone);
    let twice = [south.clone(), all[0].clone(), RootRequest::new("Other", south.request().clone()).unwrap()];
    assert_eq!(refused(propose(&twice, None)), RootsError::Twice { organisation: "Other".into() });
    for (roots, quorum) in [(3, 1), (3, 3), (4, 2), (4, 4), (16, 8), (16, 16), (16, 255), (3, 0)] {
        let (least, most) = (roots / 2 + 1, roots - 1);
        let named = propose(&all[..roots - 1], Some(quorum));
        assert_eq!(refused(named), RootsError::Quorum { roots, least, most }, "{quorum}");
    }
    for (roots, quorum, gives) in [(2, None, 0), (3, None, 2), (4, None, 3), (16, None, 9), (16, Some(15), 15)] {
        let proposal = propose(&all[..roots - 1], quorum).unwrap();
        assert_eq!(proposal.quorum(), gives);
        let again = Proposal::parse(&proposal.code().unwrap().concat()).unwrap();
        assert_eq!((again.characters(), again.roots()), (proposal.characters(), proposal.roots()));
    }
}

#[test]
fn codes_of_roots_are_read_whole_or_not_at_all() {
    let mut people = People::default();
    let south = root(&mut people, "South");
    let proposal = propose(&mut people, std::slice::from_ref(&south));
    let request = south.to_bytes();
    let signature = sign(&people, "South", &proposal).to_bytes();
    let statement = CodeKind::Proposal.read(&proposal.code().unwrap().concat()).unwrap();
    let parse = |bytes: &[u8]| {
        let code = CodeKind::Proposal.write(bytes).unwrap().concat();
        Proposal::parse(&code).map(|proposal| proposal.incident_id())
    };
    for length in 0..statement.len() {
        assert!(parse(&statement[..length]).is_err());
        assert!(RootRequest::read(&request[..length.min(request.len() - 6)]).is_err());
        assert!(RootSignature::read(&signature[..length.min(signature.len() - 1)]).is_err());
    }
    let mut host = SeededHost::new(7);
    for _ in 0..2_000 {
        let mut random = [0; 4];
        host.fill(&mut random);
        let at = usize::from(u16::from_le_bytes([random[0], random[1]]));
        let mut changed = statement.clone();
        let at_statement = at % changed.len();
        changed[at_statement] ^= random[2].max(1);
        assert_ne!(parse(&changed), Ok(proposal.incident_id()), "another statement is another incident");
        let mut changed = request.clone();
        let at = at % changed.len();
        changed[at] ^= random[2].max(1);
        assert_ne!(RootRequest::read(&changed).ok(), Some(south.clone()));
    }
    let newer = [&[2], &request[1..]].concat();
    assert_eq!(RootRequest::read(&newer), Err(EnrolmentError::NewerCode));
    assert_eq!(parse(&[&[9], &statement[1..]].concat()), Err(EnrolmentError::NewerCode));
}
