/** What a form asks for, from its first state to the request that is sent. */

import { ROLES } from "./states.js";

/** What is asked for at first: the service's defaults, or another job's choices. */
export function begin(options, old) {
  const { defaults } = options;
  const encoder = options.encoders.includes(defaults.encoder.name) ? defaults.encoder.name : options.encoders[0];
  const named = (role) => old.datasets.filter((each) => each.role === role).map((each) => each.id);
  const config = old ? old.config : { ...defaults, preset: "small", encoder: { ...defaults.encoder, name: encoder } };
  return {
    name: old ? old.name : "",
    primary: old ? named(ROLES.primary)[0] : null,
    validation: old ? named(ROLES.validation)[0] || null : null,
    auxiliary: new Set(old ? named(ROLES.auxiliary) : []),
    config: {
      ...config,
      compare: new Set(config.compare),
      budget_curve: [...config.budget_curve],
      options: { ...config.options },
    },
    /** Of the old job, whatever this form does not show is kept. */
    kept: old ? old.config : null,
    written: new Set(),
    defaults,
  };
}

/** Change a field of the config. */
export function set(asked, name, value) {
  asked.config[name] = value;
  asked.written.add(name);
}

/** The request: what differs from the service's defaults, and no more. Null where something is missing. */
export function bodyOf(asked) {
  const { config, defaults, kept } = asked;
  if (!asked.primary || asked.auxiliary.size === 0 || config.budget === null || config.repeats === null) return null;
  const now = { ...config, compare: [...config.compare] };
  const named = [
    "preset",
    "encoder",
    "method",
    "selector",
    "budget",
    "compare",
    "repeats",
    "budget_curve",
    "leave_one_out",
    "explain",
    "map_points",
    "seed",
    "options",
  ];
  const differing = named.filter(
    (name) => now[name] !== null && JSON.stringify(now[name]) !== JSON.stringify(defaults[name]),
  );
  const chosen = Object.fromEntries(differing.map((name) => [name, now[name]]));
  return {
    name: asked.name || `${config.method}, ${config.budget}`,
    primary: asked.primary,
    ...(asked.validation ? { validation: asked.validation } : {}),
    auxiliary: [...asked.auxiliary],
    config: kept ? { ...rest(kept, asked), ...chosen } : chosen,
  };
}

/** What another job had that this form does not show; a preset that was chosen anew gives its own sizes. */
function rest(kept, asked) {
  const sizes = asked.written.has("preset") ? [] : ["discriminator", "target", "finetuning"];
  const names = ["seen_rows", "leak_guard", "repeat", "holdout_share", "precision", "training_seed", ...sizes];
  return Object.fromEntries(names.map((name) => [name, kept[name]]));
}
