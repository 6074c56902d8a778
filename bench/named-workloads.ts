/** The workloads that come along. Rates are modest, so that they run anywhere; `--rate` and files are for one's own. */
import { type Workload, workloadOf } from './workload.ts'

const NAMED: Readonly<Record<string, Partial<Workload>>> = {
  steady: {
    description: '100-byte records at 10,000 a second: is everything well?',
  },
  openmessaging: {
    description: 'as in OpenMessaging: 1 topic, 100 partitions, 1 KB records, acks=all',
    partitions: 100,
    recordBytes: 1024,
    batchBytes: 131_072,
    steps: [{ rate: 10_000, seconds: 60 }],
  },
  'openmessaging-16': {
    description: 'as in OpenMessaging: 1 topic, 16 partitions, 1 KB records',
    partitions: 16,
    recordBytes: 1024,
    batchBytes: 131_072,
    steps: [{ rate: 10_000, seconds: 60 }],
  },
  linkedin: {
    description:
      'as LinkedIn measured in 2014: 100-byte records, 6 partitions, acks=1, as fast as it goes',
    acks: 1,
    steps: [{ rate: 'max', seconds: 30 }],
  },
  'linkedin-three': {
    description: 'the same with three producers',
    acks: 1,
    producers: 3,
    steps: [{ rate: 'max', seconds: 30 }],
  },
  small: {
    description: 'one record a batch: the cost of a request',
    partitions: 100,
    lingerMs: 0,
    batchBytes: 128,
    steps: [{ rate: 5_000, seconds: 30 }],
  },
  'end-to-end': {
    description: 'latency at a third of the peak: a short maximum, then steps below it',
    acks: 'all',
    lingerMs: 0,
    steps: [
      { rate: 'max', seconds: 10 },
      { rate: 20_000, seconds: 30 },
      { rate: 5_000, seconds: 30 },
    ],
  },
  ramp: {
    description: 'where latency begins to rise: each step doubles the rate',
    steps: [5_000, 10_000, 20_000, 40_000, 80_000].map(rate => ({ rate, seconds: 15 })),
  },
  backlog: {
    description: 'consumers stop for a third of the time, then drain what has piled up',
    recordBytes: 1024,
    steps: [{ rate: 10_000, seconds: 60 }],
    pauses: [{ atSeconds: 10, seconds: 20 }],
  },
  'many-topics': {
    description: '1,000 topics with 5 partitions each',
    topics: 1_000,
    partitions: 5,
    lingerMs: 5,
    steps: [{ rate: 10_000, seconds: 30 }],
  },
  rebalance: {
    description: 'three consumers share twelve partitions; one of them leaves for a while',
    partitions: 12,
    consumersPerGroup: 3,
    steps: [{ rate: 10_000, seconds: 40 }],
    restarts: [{ atSeconds: 10, seconds: 10 }],
  },
  'fan-out': {
    description: 'five groups read everything',
    recordBytes: 1024,
    groups: 5,
    steps: [{ rate: 5_000, seconds: 30 }],
  },
  keyed: {
    description: 'a million keys, some of them much more often, by hash to 12 partitions, lz4',
    partitions: 12,
    recordBytes: { min: 100, max: 1000 },
    keys: 1_000_000,
    keyDistribution: 'zipf',
    compression: 'lz4',
    lingerMs: 5,
  },
}

export const workloadNames: readonly string[] = Object.keys(NAMED)

/** Null if there is none of this name. */
export function namedWorkload(name: string): Workload | null {
  const given = Object.hasOwn(NAMED, name) ? NAMED[name] : undefined
  return given === undefined ? null : workloadOf({ name, ...given }, name)
}
