/**
 * Frames that no client should send, from frames that clients do send: a corpus, and what is done to its frames. The
 * same seed makes the same frames.
 *
 * The corpus: requests for topics that exist (`fuzz-0` to `fuzz-2`) with batches in every codec, arbitrary requests of
 * every API in every version, and, where Kafka's facts lie beside the repository, what real clients and Kafka's own
 * serializer wrote. The name of the topic that the well-behaved client uses is in none of them.
 */
import fc from 'fast-check'
import { type ApiName, apis, type RequestInput } from '../../protocol/apis.ts'
import { ZERO_UUID } from '../../protocol/buffer.ts'
import { type Api, isFlexible } from '../../protocol/schema.ts'
import { arbitraryOf } from '../wire/arbitrary.ts'
import { goldenLines, withoutGolden } from '../wire/golden.ts'
import { batchOf } from './batches.ts'
import { versionsOf } from './harness.ts'
import { requestFrame } from './host.ts'

export type Random = () => number

export const FUZZ_TOPICS = ['fuzz-0', 'fuzz-1', 'fuzz-2'] as const

/** Whole frames, length included. `topicIds` are those of the fuzz topics. */
export async function corpus(seed: number, topicIds: readonly string[]): Promise<Buffer[]> {
  const frames = [...(await aimedFrames(topicIds)), ...arbitraryFrames(seed)]
  if (withoutGolden === false) frames.push(...capturedFrames(), ...goldenFrames())
  return frames
}

interface Aim {
  readonly topic: string
  readonly topicId: string
  readonly batches: readonly Buffer[]
}

/** Valid requests for a topic that exists: after a mutation they still get far. */
async function aimedFrames(topicIds: readonly string[]): Promise<Buffer[]> {
  const batches: Buffer[] = []
  for (const codec of ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const) {
    batches.push(await batchOf(['a', 'b'.repeat(50), 'c'.repeat(300)], codec))
  }
  batches.push(
    await batchOf(['x'], 'none', { producerId: 4000, producerEpoch: 0, baseSequence: 0 }),
  )
  const frames: Buffer[] = []
  for (const [i, topic] of FUZZ_TOPICS.entries()) {
    const aim = { topic, topicId: topicIds[i]!, batches }
    for (const name of Object.keys(apis) as ApiName[]) {
      for (const version of versionsOf(name)) {
        for (const request of aimed(name, version, aim)) {
          frames.push(requestFrame(name, version, request as RequestInput<ApiName>, 7))
        }
      }
    }
  }
  return frames
}

type AimedApi = keyof typeof makeRequests

function aimed(name: ApiName, version: number, aim: Aim): readonly unknown[] {
  return name in makeRequests ? makeRequests[name as AimedApi](aim, version) : []
}

const makeRequests = {
  Produce: ({ topic, topicId, batches }: Aim, version: number) =>
    batches.map((records, i) => ({
      acks: [1, -1, 0][i % 3],
      timeoutMs: 100,
      topicData: [
        {
          name: topic,
          topicId: version < 13 ? ZERO_UUID : topicId,
          partitionData: [{ index: 0, records }],
        },
      ],
    })),
  Fetch: ({ topic, topicId }: Aim, version: number) =>
    [0, -1].map(sessionEpoch => ({
      maxWaitMs: 20,
      minBytes: 1,
      sessionEpoch: version < 7 ? -1 : sessionEpoch,
      topics: [
        {
          topic,
          topicId: version < 13 ? ZERO_UUID : topicId,
          partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 65_536 }],
        },
      ],
    })),
  ListOffsets: ({ topic }: Aim, version: number) =>
    [-1, -2, version < 7 ? 0 : -3].map(timestamp => ({
      replicaId: -1,
      topics: [{ name: topic, partitions: [{ partitionIndex: 0, timestamp }] }],
    })),
  OffsetForLeaderEpoch: ({ topic }: Aim) => [
    { topics: [{ topic, partitions: [{ partition: 0, leaderEpoch: 0 }] }] },
  ],
  Metadata: ({ topic }: Aim) => [{ topics: [{ name: topic }] }],
  CreateTopics: ({ topic }: Aim) => [
    {
      topics: [
        {
          name: `${topic}-made`,
          numPartitions: 1,
          replicationFactor: 1,
          assignments: [],
          configs: [{ name: 'segment.bytes', value: '1048576' }],
        },
      ],
      timeoutMs: 1000,
    },
  ],
  DeleteTopics: ({ topic }: Aim, version: number) => [
    version < 6
      ? { topicNames: [`${topic}-made`], timeoutMs: 1000 }
      : { topics: [{ name: `${topic}-made` }], timeoutMs: 1000 },
  ],
  DeleteRecords: ({ topic }: Aim) => [
    { topics: [{ name: topic, partitions: [{ partitionIndex: 0, offset: 1 }] }], timeoutMs: 1000 },
  ],
  CreatePartitions: ({ topic }: Aim) => [
    {
      topics: [{ name: topic, count: 2, assignments: null }],
      timeoutMs: 1000,
      validateOnly: false,
    },
  ],
  InitProducerId: () => [{ transactionalId: null, transactionTimeoutMs: 1000 }],
  DescribeConfigs: ({ topic }: Aim) => [
    { resources: [{ resourceType: 2, resourceName: topic, configurationKeys: null }] },
  ],
  IncrementalAlterConfigs: ({ topic }: Aim) => [
    {
      resources: [
        {
          resourceType: 2,
          resourceName: topic,
          configs: [{ name: 'retention.ms', configOperation: 0, value: '60000' }],
        },
      ],
      validateOnly: false,
    },
  ],
  AlterConfigs: ({ topic }: Aim) => [
    {
      resources: [
        {
          resourceType: 2,
          resourceName: topic,
          configs: [{ name: 'max.message.bytes', value: '100000' }],
        },
      ],
      validateOnly: false,
    },
  ],
  DescribeLogDirs: ({ topic }: Aim) => [{ topics: [{ topic, partitions: [0, 1] }] }],
  DescribeProducers: ({ topic }: Aim) => [{ topics: [{ name: topic, partitionIndexes: [0] }] }],
  DescribeTopicPartitions: ({ topic }: Aim) => [
    { topics: [{ name: topic }], responsePartitionLimit: 10, cursor: null },
  ],
}

/** Any request of every version, as the schema allows it. */
function arbitraryFrames(seed: number): Buffer[] {
  const frames: Buffer[] = []
  for (const name of Object.keys(apis) as ApiName[]) {
    const api: Api = apis[name]
    for (const version of versionsOf(name)) {
      const values = arbitraryOf(api.request.node, version, isFlexible(api, version))
      for (const value of fc.sample(values, { seed, numRuns: 2 })) {
        frames.push(requestFrame(name, version, value as RequestInput<ApiName>, 7))
      }
    }
  }
  return frames
}

function capturedFrames(): Buffer[] {
  return goldenLines<{ request: string }>('captures.jsonl').map(({ request }) =>
    framed(Buffer.from(request, 'hex')),
  )
}

function goldenFrames(): Buffer[] {
  const samples = goldenLines<{ message: string; version: number; hex: string }>(
    'golden-messages.jsonl',
  )
  return samples.flatMap(({ message, version, hex }) => {
    const api: Api | undefined = apis[message.replace(/Request$/, '') as ApiName]
    if (api === undefined || !message.endsWith('Request')) return []
    const tags = isFlexible(api, version) ? '00' : ''
    const header = Buffer.from(`0000000000000007ffff${tags}`, 'hex')
    header.writeInt16BE(api.key, 0)
    header.writeInt16BE(version, 2)
    return [framed(Buffer.concat([header, Buffer.from(hex, 'hex')]))]
  })
}

function framed(body: Buffer): Buffer {
  const frame = Buffer.allocUnsafe(4 + body.length)
  frame.writeInt32BE(body.length, 0)
  body.copy(frame, 4)
  return frame
}

const below = (random: Random, limit: number) => Math.floor(random() * limit)
const oneOf = <T>(random: Random, all: readonly T[]): T => all[below(random, all.length)]!

/** Where to change `size` bytes: mostly behind the header, which alone decides whether a frame gets anywhere. */
function place(random: Random, frame: Buffer, size: number): number {
  const from = frame.length > 18 + size && random() < 0.9 ? 18 : 4
  return from + below(random, frame.length - from - size + 1)
}

const BYTES = [0x00, 0x01, 0x7f, 0x80, 0xff]
const NUMBERS = [0, 1, -1, 2, 127, 128, 255, 256, 32767, 32768, 65536, 1e6, 0x7fffffff, -(2 ** 31)]

/** Changes some bytes in place, the length of the frame left alone. */
const inPlace: readonly ((random: Random, frame: Buffer) => void)[] = [
  (random, frame) => {
    for (let i = 1 + below(random, 8); i > 0; i--) {
      frame[place(random, frame, 1)]! ^= 1 << below(random, 8)
    }
  },
  (random, frame) => {
    for (let i = 1 + below(random, 4); i > 0; i--) {
      frame[place(random, frame, 1)] = oneOf(random, BYTES)
    }
  },
  (random, frame) => {
    if (frame.length < 8) return
    frame.writeInt32BE(oneOf(random, NUMBERS) | 0, place(random, frame, 4))
  },
  (random, frame) => {
    if (frame.length < 6) return
    frame.writeInt16BE((oneOf(random, NUMBERS) << 16) >> 16, place(random, frame, 2))
  },
  // Another version of the same API.
  (random, frame) => {
    if (frame.length >= 8) frame.writeInt16BE(below(random, 16) - 1, 6)
  },
  // A header of chance, before the same body.
  (random, frame) => {
    for (let at = 4; at < Math.min(frame.length, 14); at++) frame[at] = below(random, 256)
  },
  (random, frame) => {
    if (frame.length >= 8) frame.writeInt16BE(below(random, 90), 4)
  },
]

/** Makes another frame. */
const rebuilt: readonly ((random: Random, body: Buffer, other: Buffer) => Buffer)[] = [
  (random, body) => body.subarray(0, below(random, body.length + 1)),
  (random, body) => {
    const extra = Buffer.from(Array.from({ length: below(random, 20) }, () => below(random, 256)))
    return Buffer.concat([body, extra])
  },
  // The beginning of one, the end of another.
  (random, body, other) =>
    Buffer.concat([
      body.subarray(0, below(random, body.length + 1)),
      other.subarray(below(random, other.length + 1)),
    ]),
  // A piece left out.
  (random, body) => {
    const from = below(random, body.length + 1)
    return Buffer.concat([body.subarray(0, from), body.subarray(from + below(random, 12))])
  },
  // A piece said twice.
  (random, body) => {
    const from = below(random, body.length + 1)
    const to = from + below(random, 200)
    return Buffer.concat([body.subarray(0, to), body.subarray(from)])
  },
  (random, body) => Buffer.from(body.map(() => below(random, 256))),
]

/** One frame, changed in one or two ways; now and then its length lies, too. */
export function mutate(random: Random, frames: readonly Buffer[]): Buffer {
  let body = oneOf(random, frames).subarray(4)
  // One in ten stays as it is, so that there is something behind which the others can do harm.
  if (random() < 0.1) return framed(body)
  const isRebuilt = random() < 0.4
  if (isRebuilt) body = oneOf(random, rebuilt)(random, body, oneOf(random, frames).subarray(4))
  const frame = framed(body)
  if (!isRebuilt || random() < 0.3) {
    for (let i = 1 + below(random, 2); i > 0 && frame.length > 4; i--) {
      oneOf(random, inPlace)(random, frame)
    }
  }
  const chance = random()
  if (chance < 0.02) frame.writeInt32BE(frame.length - 4 + below(random, 9) - 4, 0)
  else if (chance < 0.03) frame.writeInt32BE(oneOf(random, NUMBERS) | 0, 0)
  return frame
}
