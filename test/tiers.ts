/**
 * How much of everything each tier does, in one table. `test/run.mjs` sets OTTLA_TIER; a test file run by hand counts
 * as the unit tier. A count that the acceptance of a step names stands here and nowhere else.
 */

export type TierName = 'unit' | 'tidy' | 'e2e' | 'soak'

export interface Tier {
  readonly name: TierName
  /** Runs of each property test (fast-check's numRuns). */
  readonly propertyRuns: number
  /** Seeds of a seeded loop (crash points, mutations). */
  readonly seeds: number
  /** Seeds of the simulated store, each a life with crashes. */
  readonly simulations: number
  /** Of the bytes of the recorded run, every such one is tried as the last before a power cut. */
  readonly crashStride: number
  /** Of the bytes that a client receives in a scenario, every such one is tried as the last of its connection. */
  readonly cutStride: number
  /** Mutated and truncated frames driven into the connection code without a socket. */
  readonly driverFrames: number
  /** Mutated and truncated frames sent over TCP. */
  readonly tcpFrames: number
  /** Records written per client and codec in the compatibility tests. */
  readonly records: number
  /** How often each kill variant ends the broker with SIGKILL. */
  readonly kills: number
  /** How often the broker is killed while retention, compaction and DeleteRecords are at work. */
  readonly storageKills: number
  /** Partitions of the broker with many of them. */
  readonly partitions: number
  /** Minutes of steady load. */
  readonly minutes: number
}

const TIERS: { readonly [Name in TierName]: Tier } = {
  unit: {
    name: 'unit',
    propertyRuns: 100,
    seeds: 20,
    simulations: 200,
    crashStride: 211,
    cutStride: 257,
    driverFrames: 20_000,
    tcpFrames: 2_000,
    records: 500,
    kills: 1,
    storageKills: 1,
    partitions: 50,
    minutes: 0.05,
  },
  tidy: {
    name: 'tidy',
    propertyRuns: 10,
    seeds: 2,
    simulations: 5,
    crashStride: 5_003,
    cutStride: 997,
    driverFrames: 1_000,
    tcpFrames: 100,
    records: 100,
    kills: 1,
    storageKills: 1,
    partitions: 20,
    minutes: 0.05,
  },
  e2e: {
    name: 'e2e',
    propertyRuns: 100,
    seeds: 50,
    simulations: 2_000,
    crashStride: 1,
    cutStride: 29,
    driverFrames: 100_000,
    tcpFrames: 50_000,
    records: 5_000,
    kills: 5,
    storageKills: 5,
    partitions: 2_000,
    minutes: 1,
  },
  soak: {
    name: 'soak',
    propertyRuns: 2_000,
    seeds: 1_000,
    simulations: 20_000,
    crashStride: 1,
    cutStride: 1,
    driverFrames: 900_000,
    tcpFrames: 100_000,
    records: 100_000,
    kills: 30,
    storageKills: 50,
    partitions: 2_000,
    minutes: 10,
  },
}

function tierNamed(name: string): Tier {
  const tier = Object.entries(TIERS).find(([known]) => known === name)?.[1]
  if (tier === undefined) throw new Error(`OTTLA_TIER is '${name}', not unit, tidy, e2e or soak`)
  return tier
}

/** The tier this process runs in. */
export const tier: Tier = tierNamed(process.env['OTTLA_TIER'] ?? 'unit')

/** The seed of a random test: OTTLA_SEED to repeat one, else a new one. Whoever uses it prints it. */
export function chooseSeed(): number {
  const given = process.env['OTTLA_SEED']
  return given === undefined ? Math.floor(Math.random() * 2 ** 32) : Number(given) >>> 0
}

/** A small seeded generator, uniform in [0, 1): the same seed gives the same run. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x9e3779b9) >>> 0
    let mixed = state ^ (state >>> 16)
    mixed = Math.imul(mixed, 0x21f0aaad)
    mixed ^= mixed >>> 15
    mixed = Math.imul(mixed, 0x735a2d97)
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32
  }
}
