/** `ottla topic` in this process, against a toy cluster: what it prints, what it asks, and its exit codes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runCli } from '../../cli/main.ts'
import { Admin } from '../../client/admin.ts'
import { Cluster } from '../../client/cluster.ts'
import type { RequestOf, ResponseInput } from '../../protocol/apis.ts'
import { MemoryIo, type Script, ScriptedBroker } from '../client/memory-network.ts'

/** A cluster of one broker that knows topics by name and number of partitions. */
class ToyCluster {
  readonly io = new MemoryIo()
  readonly topics = new Map<string, number>()
  /** Partitions without a leader, in all topics, and why some are to stay so. */
  readonly leaderless = new Set<number>()
  readonly refusals = new Map<number, string>()
  /** What ElectLeaders was asked. */
  readonly elections: { electionType: number; topicPartitions: unknown }[] = []
  readonly broker: ScriptedBroker

  constructor() {
    const script: Script = {
      Metadata: request => this.metadata(request),
      CreateTopics: request => this.create(request),
      DeleteTopics: ({ topics }) => ({
        responses: topics.map(({ name }) => ({
          name: name ?? '',
          errorCode: this.topics.delete(name ?? '') ? 0 : 3,
        })),
      }),
      CreatePartitions: ({ topics }) => ({
        results: topics.map(({ name, count }) => {
          if (!this.topics.has(name)) return { name, errorCode: 3 }
          this.topics.set(name, count)
          return { name, errorCode: 0 }
        }),
      }),
      IncrementalAlterConfigs: ({ resources }) => ({
        responses: resources.map(resource => ({
          ...resource,
          errorCode: this.topics.has(resource.resourceName) ? 0 : 3,
        })),
      }),
      DescribeConfigs: ({ resources }) => ({
        results: resources.map(resource => ({
          ...resource,
          errorCode: 0,
          configs: [config('retention.ms', '1000', 1), config('flush.messages', '1', 5)],
        })),
      }),
      ElectLeaders: ({ electionType, topicPartitions }) => {
        this.elections.push({ electionType, topicPartitions })
        return {
          errorCode: 0,
          replicaElectionResults: (topicPartitions ?? []).map(({ topic, partitions }) => ({
            topic,
            partitionResult: partitions.map(partitionId => {
              const errorMessage = this.refusals.get(partitionId) ?? null
              return { partitionId, errorCode: errorMessage === null ? 0 : 83, errorMessage }
            }),
          })),
        }
      },
      ListOffsets: ({ topics }) => ({
        topics: topics.map(({ name, partitions }) => ({
          name,
          partitions: partitions.map(({ partitionIndex, timestamp }) => ({
            partitionIndex,
            errorCode: 0,
            offset: timestamp === -2 ? 2 : 12,
          })),
        })),
      }),
    }
    this.broker = new ScriptedBroker(this.io, 'localhost', 9092, script)
  }

  async run(...args: string[]) {
    return this.runWith(null, ...args)
  }

  /** With an answer a person is at the terminal and gives it. */
  async runWith(answer: string | null, ...args: string[]) {
    let [out, err] = ['', '']
    const call = runCli(['topic', ...args], {
      terminal: {
        out: text => {
          out += text
        },
        err: text => {
          err += text
        },
        isInteractive: answer !== null,
        ask: async () => answer ?? '',
        lines: () => assert.fail('nothing is read here'),
      },
      openAdmin: async options => new Admin(new Cluster(this.io, options)),
      openClient: () => assert.fail('topics need no more than an admin'),
      runBroker: async () => {},
      printConfig: async () => {},
    })
    return { code: await call, out, err }
  }

  private metadata({ topics }: RequestOf<'Metadata'>): ResponseInput<'Metadata'> {
    const names = topics?.map(({ name }) => name ?? '') ?? [...this.topics.keys()]
    return {
      brokers: [{ nodeId: 1, host: 'localhost', port: 9092 }],
      clusterId: 'c',
      controllerId: 1,
      topics: names.map(name => ({
        errorCode: this.topics.has(name) ? 0 : 3,
        name,
        partitions: Array.from({ length: this.topics.get(name) ?? 0 }, (_, partitionIndex) => ({
          errorCode: 0,
          partitionIndex,
          leaderId: this.leaderless.has(partitionIndex) ? -1 : 1,
          replicaNodes: [1],
          isrNodes: [1],
        })),
      })),
    }
  }

  private create({ topics, validateOnly }: RequestOf<'CreateTopics'>) {
    return {
      topics: topics.map(({ name, numPartitions: asked }) => {
        const numPartitions = asked < 0 ? 1 : asked
        if (this.topics.has(name)) return { name, errorCode: 36 }
        if (!validateOnly) this.topics.set(name, numPartitions)
        return { name, errorCode: 0, numPartitions, replicationFactor: 1 }
      }),
    }
  }
}

function config(name: string, value: string, configSource: number) {
  return { name, value, readOnly: false, configSource, isSensitive: false, synonyms: [] }
}

test('create says what was created; existing topics are a failure unless they may exist', async () => {
  const cluster = new ToyCluster()
  const created = await cluster.run('create', 'a', 'b', '--partitions', '3')
  assert.deepEqual(created, {
    code: 0,
    out: 'a created: 3 partitions, 1 replica\nb created: 3 partitions, 1 replica\n',
    err: '',
  })
  const again = await cluster.run('create', 'a', 'c')
  assert.equal(again.code, 1)
  assert.equal(again.out, 'c created: 1 partition, 1 replica\n')
  assert.match(again.err, /^ottla: topic 'a': a topic with this name exists already .*\n$/)
  const tolerated = await cluster.run('create', 'a', '--if-not-exists')
  assert.deepEqual(tolerated, { code: 0, out: 'a exists already\n', err: '' })
})

test('a dry run creates nothing', async () => {
  const cluster = new ToyCluster()
  const { code, out } = await cluster.run('create', 'a', '--dry-run')
  assert.deepEqual([code, out], [0, 'a would be created: 1 partition, 1 replica\n'])
  assert.equal(cluster.topics.size, 0)
})

test('list shows a table, or JSON', async () => {
  const cluster = new ToyCluster()
  assert.equal((await cluster.run('list')).out, 'There are no topics.\n')
  cluster.topics.set('longer-name', 12).set('a', 1)
  const { out } = await cluster.run('list')
  assert.equal(
    out,
    'TOPIC        PARTITIONS  REPLICAS\na                     1         1\nlonger-name          12         1\n',
  )
  const json = JSON.parse((await cluster.run('list', '--json')).out) as { name: string }[]
  assert.deepEqual(
    json.map(({ name }) => name),
    ['a', 'longer-name'],
  )
})

test('describe shows partitions, offsets, changed settings and what an ack means', async () => {
  const cluster = new ToyCluster()
  cluster.topics.set('a', 1)
  const { code, out, err } = await cluster.run('describe', 'a', 'nope')
  assert.equal(code, 1)
  assert.match(out, /^Topic a, id /)
  assert.match(out, /\n +0 +1 +1 +1 +- +2 +12 +10\n/)
  assert.match(out, /retention\.ms=1000 {2}\(topic\)/)
  assert.doesNotMatch(out, /flush\.messages=1 {2}/)
  assert.match(out, /acks=1: the leader has the record on disk/)
  assert.match(err, /topic 'nope': there is no such topic/)
  const [json] = JSON.parse((await cluster.run('describe', '--json')).out) as [
    Record<string, unknown>,
  ]
  assert.deepEqual(json['configs'], { 'retention.ms': { value: '1000', source: 'topic' } })
})

test('alter changes settings and partitions', async () => {
  const cluster = new ToyCluster()
  cluster.topics.set('a', 1)
  const options = ['--partitions', '4', '--config', 'x=1', '--delete-config', 'y']
  const { code, out } = await cluster.run('alter', 'a', ...options)
  assert.deepEqual([code, out], [0, 'a altered: x=1, y back to its default, 4 partitions\n'])
  assert.equal(cluster.topics.get('a'), 4)
  const absent = await cluster.run('alter', 'nope', 'a', '--if-exists', ...options)
  assert.equal(absent.code, 0)
  assert.match(absent.out, /^a altered: .*\nnope does not exist\n$/)
  assert.equal((await cluster.run('alter', 'nope', ...options)).code, 1)
})

test('delete asks only a person, and not with --yes', async () => {
  const cluster = new ToyCluster()
  for (const name of ['a', 'b', 'c']) cluster.topics.set(name, 1)
  assert.equal((await cluster.runWith('n', 'delete', 'a')).out, 'nothing deleted\n')
  assert.equal((await cluster.runWith('yes', 'delete', 'a')).out, 'a deleted\n')
  assert.equal((await cluster.runWith('n', 'delete', 'b', '--yes')).out, 'b deleted\n')
  const rest = await cluster.run('delete', 'c', 'nope', '--if-exists')
  assert.deepEqual(rest, { code: 0, out: 'c deleted\nnope does not exist\n', err: '' })
  const again = await cluster.run('delete', 'c')
  assert.deepEqual([again.code, again.out], [1, ''])
})

test('a cluster that cannot be reached is exit code 3, with what to do', async () => {
  const { code, err } = await new ToyCluster().run('list', '--bootstrap', 'localhost:1')
  assert.equal(code, 3)
  assert.match(err, /^ottla: cannot connect to localhost:1 .*'ottla broker' starts one here.*\n$/)
  assert.equal((await new ToyCluster().run('list', '--bootstrap', 'a b')).code, 2)
})

test('elect asks only for partitions without a leader, and before it gives records up', async () => {
  const cluster = new ToyCluster()
  cluster.topics.set('a', 3)
  assert.deepEqual(await cluster.run('elect', 'a', '--unclean'), {
    code: 0,
    out: 'every partition has its leader\n',
    err: '',
  })
  cluster.leaderless.add(1)
  const declined = await cluster.runWith('n', 'elect', 'a', '--unclean')
  assert.deepEqual([declined.code, declined.out], [0, 'nothing elected\n'])
  assert.deepEqual(cluster.elections, [])
  const agreed = await cluster.runWith('y', 'elect', 'a', '--unclean')
  assert.deepEqual([agreed.code, agreed.out], [0, 'a-1 has a leader\n'])
  const topicPartitions = [{ topic: 'a', partitions: [1] }]
  assert.deepEqual(cluster.elections, [{ electionType: 1, topicPartitions }])
})

test('elect says what could not be elected, with the reason, at once', async () => {
  const cluster = new ToyCluster()
  cluster.topics.set('a', 3)
  cluster.leaderless.add(1).add(2)
  cluster.refusals.set(2, 'it may be in /b, which is offline')
  const { code, out, err } = await cluster.run('elect', 'a', '--unclean', '--json')
  assert.deepEqual([code, out], [1, ''])
  assert.match(err, /it may be in \/b, which is offline/)
  assert.match(err, /a-2|partition 2/)
  const preferred = await cluster.run('elect', 'a')
  assert.equal(preferred.code, 1)
  assert.deepEqual(
    cluster.elections.map(({ electionType }) => electionType),
    [1, 0],
  )
})
