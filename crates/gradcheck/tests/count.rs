mod support;
use gradcheck::*;
use std::cell::Cell;
use support::*;
#[test]
fn count() {
    let mut v = vec![];
    for seed in 0..2000 {
        let p = Program::random(seed);
        let c = Cell::new(0usize);
        let r = Check::new("")
            .seed(seed)
            .input("x", &[p.x.len()], p.x.clone())
            .run(
                |xs| {
                    c.set(c.get() + 1);
                    p.forward(&xs[0])
                },
                |xs, dy| vec![p.backward(&xs[0], dy)],
            );
        if r.passed() {
            v.push((c.get() - 18) as f64 / p.x.len() as f64);
        }
    }
    v.sort_by(f64::total_cmp);
    println!(
        "{:?}",
        [0.0, 0.1, 0.5, 0.9, 0.99, 1.0].map(|p| v[((v.len() - 1) as f64 * p) as usize])
    );
}
