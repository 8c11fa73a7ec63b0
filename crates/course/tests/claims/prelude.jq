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

# Whether the ranges of two spreads, from first to third quartile, do not touch, and which
# is the lower one. A bound that is null is infinite: something that did not happen.
def low: .low | if . == null then infinite else . end;
def high: .high | if . == null then infinite else . end;
def clearly_below($other): high < ($other | low);
def clearly_above($other): low > ($other | high);
def unclear($other): clearly_below($other) or clearly_above($other) | not;

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
