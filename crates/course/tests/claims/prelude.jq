# What the conditions of the chapters' claims are written with, beside jq's own filters.

# A number as it is; anything else is an error.
def number: if type == "number" then . else error("\(tojson) is no number") end;

# A value as it is, unless nothing stands at its key.
def there($key): if . == null then error("there is no \($key | tojson)") else . end;

# In a list, or in the lists that an object holds: the only entry with $value at $key. The
# same entry in several lists is one.
def at($key; $value):
  [(if type == "array" then .[] else .[] | arrays | .[] end) | objects | select(.[$key]? == $value)]
  | unique | if length == 1 then .[0]
    else error("\(length) entries have \($key) = \($value | tojson)") end;

# From $low to below $high.
def within($low; $high): number >= $low and . < $high;

# Less than $most from $value.
def near($value; $most): number - $value | abs < $most;

# The comparison of two results seed by seed, as the chapter on the claims has it: of 13
# differences at most 2 may be against it. A number that is null is infinite: something that did
# not happen.
def by_seed: .by_seed | map(if . == null then infinite else . end);
def differences($other):
  [by_seed, ($other | by_seed)]
  | if (.[0] | length) == 13 and (.[1] | length) == 13 then transpose
    else error("not 13 pairs of seeds") end
  | map(if .[0] == .[1] then 0 else .[0] - .[1] end) | sort;
def clearly_below($other): differences($other)[10] < 0;
def clearly_above($other): differences($other)[2] > 0;
def unclear($other): clearly_below($other) or clearly_above($other) | not;

# The same of a comparison that the results have.
def low: .low | if . == null then infinite else . end;
def high: .high | if . == null then infinite else . end;
def below($alike): high < $alike;
def above($alike): low > $alike;

# Whether what is counted by the median at $key did not happen.
def never($key): .[$key] | objects | has("median") and .median == null;

# The results of a setting of an experiment.
def cell($name): .data.settings | at("cell"; $name);

# The results of a form of the Transformer with so many blocks.
def form($blocks; $name): .data.depths | at("blocks"; $blocks).forms | at("form"; $name);

# Whether the gradient of this id has these weights of the three paths, and nothing else.
def fitted($id; $weights):
  at("id"; $id) | [.direct, .mean, .variance] as $found
  | .residual < 1e-14 and ([range(3) | . as $k | $found[$k] | near($weights[$k]; 2e-9)] | all);
