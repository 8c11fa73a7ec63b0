mod support;
use gradcheck::*;
use support::*;
#[test]
fn study() {
    let mut hist: std::collections::BTreeMap<String, usize> = Default::default();
    let (mut margins, mut res) = (vec![], vec![]);
    let count: u64 = std::env::var("N").ok().map_or(2000, |s| s.parse().unwrap());
    for seed in 0..count {
        let p = Program::random(seed);
        let y = p.forward(&p.x);
        if y.iter().any(|y| !y.is_finite()) {
            *hist.entry("nonfinite".into()).or_default() += 1;
            continue;
        }
        let r = Check::new(format!("{seed}"))
            .seed(seed)
            .input("x", &[p.x.len()], p.x.clone())
            .run(
                |xs| p.forward(&xs[0]),
                |xs, dy| vec![p.backward(&xs[0], dy)],
            );
        let key = if !r.faults.is_empty() {
            "fail"
        } else if !r.refused.is_empty() {
            "refused"
        } else {
            "ok"
        };
        *hist.entry(key.into()).or_default() += 1;
        if key == "fail" || key == "refused" && std::env::var("SHOW").is_ok() {
            println!("{r}{:?}\n{:?}", p.layers, p.x);
        }
        if key != "refused" {
            margins.push(r.worst().unwrap().1.margin);
            res.push(r.inputs[0].resolution);
        }
        if !r.inputs.is_empty() && !r.inputs[0].kinks.is_empty() {
            *hist.entry("kinks".into()).or_default() += 1;
            println!("{r}{:?} {:?}", p.layers, p.x);
        }
    }
    margins.sort_by(f64::total_cmp);
    res.sort_by(f64::total_cmp);
    let q = |v: &Vec<f64>| {
        [0.1, 0.5, 0.9, 0.99, 0.999, 1.0].map(|p| v[((v.len() - 1) as f64 * p) as usize])
    };
    println!(
        "{hist:?}\nmargins {:?}\nresolution {:?}",
        q(&margins),
        q(&res)
    );
}
