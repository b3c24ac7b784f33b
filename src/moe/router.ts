/**
 * Chooses experts for tokens, and prefers those in memory.
 *
 * A resident expert gets a bonus when experts are ranked; gate weights come from the scores without it. The bonus is in
 * units of the layer's score range (the greatest score of a token less the least, as a running average),
 * so that one number means the same for layers whose logits differ in size.
 *
 * @see Skliar et al. 2025, "Mixture of Cache-Conditional Experts for Efficient Mobile Device Inference"
 */
import { checkArgument } from '../base/errors';
import type { RouterNumbers } from '../program/program';
import { currentEngine } from '../runtime/current-engine';

export interface RouterOptions {
  /** 2 to 1024. */
  readonly experts: number;
  /** Experts of a token, 1 to 16. */
  readonly topK: number;
  /** `softmax` (default): weights are the softmax of the logits. `sigmoid`: scores and weights are sigmoids of them. */
  readonly gating?: 'softmax' | 'sigmoid';
  /** Whether the weights of a token's experts are divided by their sum. Default true. */
  readonly normalize?: boolean;
  /** Multiplies the gate weights. Default 1. */
  readonly weightScale?: number;
  /** Added to the scores of resident experts for ranking. Default 0: plain top-k. */
  readonly bonus?: number;
  /** Unit of `bonus`: the layer's running score range (default), or the scores themselves. */
  readonly bonusUnit?: 'range' | 'score';
  /** How many picks of plain top-k routing are kept regardless of residency. Default 0. */
  readonly protect?: number;
  /** Number of groups of neighbouring experts (default 1); each token uses `topGroups` of them (default all). */
  readonly groups?: number;
  readonly topGroups?: number;
  /** How many of a group's greatest scores are summed to rank it. Default 1. */
  readonly groupTop?: number;
}

export interface Routing {
  /** [tokens, topK]: the experts of each token with falling score, equal ones by number. */
  readonly ids: Int32Array;
  /** [tokens, topK]: gate weights. */
  readonly weights: Float32Array;
}

/** Share of a token in the running average of the score range. */
const RANGE_RATE = 0.01;

const MAX_EXPERTS = 1024;
const MAX_CHOSEN = 16;

function integer(value: number, name: string, least: number, most: number): void {
  const fits = Number.isInteger(value) && value >= least && value <= most;
  checkArgument(fits, name, `an integer from ${least} to ${most}`, value);
}

/**
 * Options as the engine takes them, with no bonus.
 *
 * @throws LowbitError 'invalid-argument' naming the option, what was expected and what came
 */
export function routerNumbers(options: RouterOptions): RouterNumbers {
  const { experts, topK, gating = 'softmax', normalize = true, weightScale = 1, protect = 0 } = options;
  const { groups = 1, topGroups = groups, groupTop = 1, bonus = 0, bonusUnit = 'range' } = options;
  integer(experts, 'experts', 2, MAX_EXPERTS);
  integer(topK, 'topK', 1, Math.min(experts, MAX_CHOSEN));
  checkArgument(['softmax', 'sigmoid'].includes(gating), 'gating', "'softmax' or 'sigmoid'", gating);
  checkArgument(Number.isFinite(weightScale), 'weightScale', 'a finite number', weightScale);
  checkArgument(Number.isFinite(bonus) && bonus >= 0, 'bonus', 'a finite number of at least 0', bonus);
  checkArgument(['range', 'score'].includes(bonusUnit), 'bonusUnit', "'range' or 'score'", bonusUnit);
  integer(protect, 'protect', 0, topK);
  integer(groups, 'groups', 1, experts);
  checkArgument(experts % groups === 0, 'groups', `a divisor of ${experts}, the number of experts`, groups);
  const size = experts / groups;
  integer(topGroups, 'topGroups', Math.ceil(topK / size), groups);
  integer(groupTop, 'groupTop', 1, size);
  return {
    experts,
    topK,
    sigmoid: gating === 'sigmoid',
    normalize,
    weightScale,
    bonus: 0,
    protect,
    groups,
    topGroups,
    groupTop,
  };
}

export interface RouteInputs {
  /** [tokens, experts], row-major. */
  readonly logits: Float32Array;
  /** [experts], not 0 where an expert is in memory. */
  readonly resident?: Int32Array;
  /** [experts], added to the scores when experts are ranked, as DeepSeek-V3 balances their load. */
  readonly bias?: Float32Array;
}

/** Routes the tokens of one layer; keeps that layer's score range from call to call. */
export class Router {
  private readonly engine = currentEngine();
  private readonly plain: RouterNumbers;
  /** The same with a bonus, which changes from call to call. */
  private readonly favouring: RouterNumbers;
  private readonly meanRange = new Float32Array(1);
  private range: number | undefined;
  private readonly bonus: number;

  /** @throws LowbitError 'invalid-argument' as `routerNumbers` */
  constructor(readonly options: RouterOptions) {
    this.plain = routerNumbers(options);
    this.favouring = { ...this.plain };
    this.bonus = options.bonus ?? 0;
  }

  /** The running average of the greatest score of a token less its least; undefined before the first token. */
  get scoreRange(): number | undefined {
    return this.range;
  }

  /**
   * Chooses the experts of each token.
   *
   * @throws LowbitError 'invalid-argument' if a size does not fit, or naming a row of the logits that has only NaN and
   *   -infinity; NaN counts as -infinity
   */
  route(inputs: RouteInputs): Routing {
    const { experts, topK } = this.plain;
    const tokens = inputs.logits.length / experts;
    checkArgument(
      Number.isInteger(tokens),
      'logits',
      `a multiple of ${experts} numbers`,
      inputs.logits.length,
    );
    const ids = new Int32Array(tokens * topK);
    const weights = new Float32Array(tokens * topK);
    this.routeInto(inputs, tokens, ids, weights);
    return { ids, weights };
  }

  /** The same into arrays of the caller's, [tokens, topK]. */
  routeInto(inputs: RouteInputs, tokens: number, ids: Int32Array, weights: Float32Array): void {
    const { logits, resident, bias } = inputs;
    if (this.bonus === 0 || resident === undefined) {
      this.engine.route(this.plain, { logits, tokens, bias, ids, weights });
      return;
    }
    const call = { logits, tokens, bias, resident, ids, weights };
    if (this.options.bonusUnit === 'score') {
      this.engine.route(this.withBonus(this.bonus), call);
      return;
    }
    const { meanRange } = this;
    if (this.range === undefined) {
      this.engine.route(this.plain, { ...call, meanRange });
      this.range = meanRange[0];
    }
    this.engine.route(this.withBonus(this.bonus * this.range), { ...call, meanRange });
    if (tokens > 0) this.range += (meanRange[0] - this.range) * (1 - (1 - RANGE_RATE) ** tokens);
  }

  private withBonus(bonus: number): RouterNumbers {
    this.favouring.bonus = bonus;
    return this.favouring;
  }
}
