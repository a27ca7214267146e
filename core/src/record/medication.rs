//! The medication table: which products belong to which ingredient and class. Dated and sourced; no doses.
//!
//! Table of 2026-11-22. RxCUIs of ingredients and of the products 309309, 1650143, 311296, 311787 and 284215:
//! value sets of the CDC's published logic for anthrax post-exposure prophylaxis (2019), with RxNorm by the
//! U.S. National Library of Medicine, which does not endorse this project. Classes: contra-indications of
//! the CDC's emergency use instructions (doxycycline: any tetracycline) and of the FDA labels (any quinolone;
//! any penicillin). What is not here is compared by its text, and the allergy check says so.

use super::text::{fold_text, words};
use super::value::Coded;

/// URI of RxNorm.
pub const RXNORM: &str = "http://www.nlm.nih.gov/research/umls/rxnorm";

/// One ingredient with the products that contain it alone.
struct Ingredient {
    rxcui: &'static str,
    name: &'static str,
    class: &'static str,
    products: &'static [&'static str],
}

const INGREDIENTS: &[Ingredient] = &[
    Ingredient { rxcui: "2551", name: "ciprofloxacin", class: "quinolone", products: &["309309"] },
    Ingredient { rxcui: "82122", name: "levofloxacin", class: "quinolone", products: &["311296"] },
    Ingredient { rxcui: "139462", name: "moxifloxacin", class: "quinolone", products: &["311787"] },
    Ingredient { rxcui: "3640", name: "doxycycline", class: "tetracycline", products: &["1650143"] },
    Ingredient { rxcui: "2582", name: "clindamycin", class: "lincosamide", products: &["284215"] },
    Ingredient { rxcui: "723", name: "amoxicillin", class: "penicillin", products: &[] },
    Ingredient { rxcui: "7984", name: "penicillin v", class: "penicillin", products: &[] },
];

/// Words that name a class.
const CLASS_WORDS: &[(&str, &str)] = &[
    ("quinolone", "quinolone"),
    ("quinolones", "quinolone"),
    ("fluoroquinolone", "quinolone"),
    ("fluoroquinolones", "quinolone"),
    ("tetracycline", "tetracycline"),
    ("tetracyclines", "tetracycline"),
    ("penicillin", "penicillin"),
    ("penicillins", "penicillin"),
    ("lincosamide", "lincosamide"),
    ("lincosamides", "lincosamide"),
];

/// The class of a product or substance, if the table knows it: by RxNorm code of ingredient or product, by
/// the name of an ingredient among its words, or by the name of a class.
#[must_use]
pub fn class_of(coded: &Coded<'_>) -> Option<&'static str> {
    if coded.system == RXNORM {
        let by_code = INGREDIENTS.iter().find(|i| i.rxcui == coded.code || i.products.contains(&coded.code));
        if let Some(ingredient) = by_code {
            return Some(ingredient.class);
        }
    }
    let text = fold_text(coded.shown());
    let mut by_word = words(&text).filter_map(|word| {
        let ingredient = INGREDIENTS.iter().find(|i| i.name == word).map(|i| i.class);
        ingredient.or_else(|| CLASS_WORDS.iter().find(|(name, _)| *name == word).map(|(_, class)| *class))
    });
    by_word.next()
}

/// What two dispenses must share to be duplicates: the class, else the code, else the folded text.
#[must_use]
pub fn class_key(product: &Coded<'_>) -> String {
    match class_of(product) {
        Some(class) => format!("class {class}"),
        None if !product.code.is_empty() => format!("code {}|{}", product.system, product.code),
        None => format!("text {}", fold_text(product.display)),
    }
}

/// Whether an allergy covers a product.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cover {
    /// It does.
    Covers,
    /// It does not: the table knows both.
    Spares,
    /// One of them is not in the table and their texts do not match.
    NotChecked,
}

/// Whether an allergy to `substance` of a FHIR category covers `product`. An allergy to food or to something
/// in the environment that the table does not know spares every product whose text does not match.
#[must_use]
pub fn cover(substance: &Coded<'_>, category: &str, product: &Coded<'_>) -> Cover {
    let same_code = !substance.code.is_empty() && (substance.system, substance.code) == (product.system, product.code);
    if same_code || texts_match(substance.shown(), product.shown()) {
        return Cover::Covers;
    }
    match (class_of(substance), class_of(product)) {
        (Some(a), Some(b)) if a == b => Cover::Covers,
        (Some(_), Some(_)) => Cover::Spares,
        (None, _) if matches!(category, "food" | "environment") => Cover::Spares,
        _ => Cover::NotChecked,
    }
}

/// Whether all words of one text are among the words of the other.
fn texts_match(a: &str, b: &str) -> bool {
    let (a, b) = (fold_text(a), fold_text(b));
    let (a, b): (Vec<_>, Vec<_>) = (words(&a).collect(), words(&b).collect());
    let within = |few: &[&str], many: &[&str]| !few.is_empty() && few.iter().all(|word| many.contains(word));
    within(&a, &b) || within(&b, &a)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOXY: Coded<'static> =
        Coded { system: RXNORM, code: "1650143", display: "doxycycline hyclate 100 MG Oral Tablet" };

    #[test]
    fn a_class_covers_its_products_by_code_and_by_name() {
        assert_eq!(cover(&Coded::text("Tetracyclines"), "medication", &DOXY), Cover::Covers);
        assert_eq!(
            cover(&Coded { system: RXNORM, code: "2551", display: "" }, "", &Coded::text("Levofloxacin 500 mg")),
            Cover::Covers
        );
        assert_eq!(cover(&Coded::text("penicillin"), "", &DOXY), Cover::Spares);
    }

    #[test]
    fn what_the_table_does_not_know_is_said_to_be_not_checked() {
        assert_eq!(cover(&Coded::text("sulfa drugs"), "", &DOXY), Cover::NotChecked);
        assert_eq!(cover(&Coded::text("penicillin"), "", &Coded::text("ibuprofen 400 mg")), Cover::NotChecked);
        assert_eq!(cover(&Coded::text("Ibuprofen"), "", &Coded::text("ibuprofen 400 mg")), Cover::Covers);
        assert_eq!(cover(&Coded::text("shellfish"), "food", &DOXY), Cover::Spares);
    }

    #[test]
    fn class_keys_fall_back_to_code_and_text() {
        assert_eq!(class_key(&DOXY), class_key(&Coded::text("Doxycycline 50 mg")));
        assert_eq!(class_key(&Coded { system: "s", code: "c", display: "x" }), "code s|c");
        assert_eq!(class_key(&Coded::text("Foo  BAR")), "text foo bar");
    }
}
