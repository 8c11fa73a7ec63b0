//! Handwritten digits with and without normalization: does an MLP learn them faster?

use crate::kit::*;

pub(crate) struct Asked;

#[derive(Serialize, Deserialize)]
pub(crate) struct Results {
    methods: Vec<Cell<Method>>,
}

impl Study for Asked {
    const CARD: Card = Card::new("digits", 6)
        .asks("an MLP on handwritten digits: no norm from two starts, Batch Norm and Layer Norm");

    type Protocol = Protocol<Nothing>;
    type Results = Results;

    fn protocol(quick: bool) -> Self::Protocol {
        Protocol {
            plan: Plan {
                target: Some(0.95),
                curves: vec![Curve::TrainLoss, Curve::TestLoss, Curve::TestAccuracy],
                ..Plan::mlp(&[64, 128, 128, 128, 10], pick(quick, 3, 30))
            },
            rates: pick(
                quick,
                vec![0.03, 0.1],
                vec![0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0],
            ),
            rate_rule: Rule::Accuracy,
            own: Nothing {},
            decision_rule: "faster: fewer epochs until the validation accuracy first reaches the \
                            target, clearly by pairs of seeds",
        }
    }

    fn run(protocol: &Self::Protocol, session: &mut Session) -> Result<Results, Error> {
        let plan = |of: &Method| of.plan(protocol.plan.clone());
        let methods = swept(session, protocol, &Method::ALL, plan)?;
        Ok(Results { methods })
    }

    fn read(protocol: &Self::Protocol, Results { methods }: &Results) -> Finding {
        let target = 100.0 * protocol.plan.target.expect("it is given");
        let [none, others @ ..] = &methods[..] else {
            panic!("no norm comes first")
        };
        let against = |cell: &Cell<Method>| {
            let [with, without] = [cell, none].map(Cell::to_target);
            let how = with.seen_from(without);
            format!(
                "{} is {} no norm ({} against {})",
                cell.of.name(),
                how.say(
                    "faster than",
                    "not clearly faster or slower than",
                    "slower than"
                ),
                count(with.median),
                count(without.median)
            )
        };
        let table = table(
            methods,
            &[
                ("", -24, &|cell| cell.of.name()),
                ("rate", 7, &|cell| cell.chosen_rate.to_string()),
                ("test accuracy", 26, &|cell| {
                    percent_range(*cell.test_accuracy)
                }),
                (&format!("epochs to {target} %"), 26, &|cell| {
                    count_range(**cell.to_target())
                }),
            ],
        );
        let rates = over_rates(
            "Validation accuracy over the grid of learning rates",
            "The accuracy on the validation part after the last epoch at each learning rate, \
             without norm from PyTorch's weights and from He's, with Batch Norm and with Layer \
             Norm: median and quartiles over the seeds that pick a rate; a run that diverged \
             counts as 0."
                .into(),
            methods,
        );
        Finding {
            derived: json!({}),
            charts: vec![
                ("curves".into(), curves(methods, protocol.plan.epochs)),
                ("rates".into(), rates),
            ],
            answer: None,
            verdict: format!(
                "By epochs to {target} % on the validation part: {}.",
                others.iter().map(against).collect::<Vec<_>>().join("; ")
            ),
            table,
        }
    }
}

fn curves(methods: &[Cell<Method>], last: usize) -> Chart {
    let loss = |cell: &Cell<Method>| Line {
        name: cell.name_and_rate(),
        ..cell.line(cell.curve(Curve::TestLoss, 1.0))
    };
    Chart::of(
        "Test loss over training",
        "The cross-entropy on the test part after each epoch, without norm from PyTorch's weights \
         and from He's, with Batch Norm and with Layer Norm, each at its own best rate: median and \
         quartiles over the seeds.",
        methods.iter().map(loss),
    )
    .x(|_, _| epochs(last))
    .level(
        "guessing",
        Ink::Theory,
        Spread::exactly(std::f64::consts::LN_10),
    )
    .y(|low, high| Axis::log("test loss (nats)", 0.9 * low, 1.1 * high))
}
