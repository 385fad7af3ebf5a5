//! Checking and normalising what people type: the fields one by one, and a whole form.

use divan::{Bencher, black_box};
use lead_intake::{
    domain::contact::{Email, Line, Phone, Region},
    rpc::convert::new_lead,
};

use super::form::form;

fn norway() -> Region {
    "NO".parse().unwrap()
}

#[divan::bench]
fn line_ascii(bencher: Bencher<'_, '_>) {
    bencher.bench(|| Line::parse(black_box("Nordmann Bakeri AS")));
}

/// With letters that are not ASCII, so NFC has to look at it.
#[divan::bench]
fn line_norwegian(bencher: Bencher<'_, '_>) {
    bencher.bench(|| Line::parse(black_box("Åse Sørbø Bækkelund")));
}

#[divan::bench]
fn phone_norwegian_mobile(bencher: Bencher<'_, '_>) {
    let norway = norway();
    bencher.bench(|| Phone::parse(black_box("+47 406 05 600"), norway));
}

/// Not one of those known by their first digit: the whole numbering plan is asked.
#[divan::bench]
fn phone_foreign(bencher: Bencher<'_, '_>) {
    let norway = norway();
    bencher.bench(|| Phone::parse(black_box("+46 8 465 004 00"), norway));
}

#[divan::bench]
fn email_ascii(bencher: Bencher<'_, '_>) {
    bencher.bench(|| Email::parse(black_box("Kari.Nordmann@Example.no")));
}

/// Letters that are not ASCII on both sides: the domain becomes an A-label for look-up.
#[divan::bench]
fn email_international(bencher: Bencher<'_, '_>) {
    bencher.bench(|| Email::parse(black_box("kåre.sæther@blåbærsyltetøy.example")));
}

#[divan::bench]
fn whole_form(bencher: Bencher<'_, '_>) {
    let (form, norway) = (form(), norway());
    bencher.bench(|| new_lead(black_box(&form), norway));
}
