/**
 * A Kafka Streams word count goes on through the deaths of itself and of the broker.
 *
 * Method: the words of each phase are its own. Those of the first are counted and committed before anything dies, so their
 * counts must be exact to the end, also when one more of each is written after all deaths: the state was kept, locally, in
 * the changelog topic, or both. Those written while something dies are counted at least once. At the end the output and
 * the changelog say the same.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { Kafka, logLevel, type Producer } from 'kafkajs'
import {
  adopt,
  freePort,
  KAFKA,
  missing,
  pause,
  runWell,
  startOttla,
  temporaryDirectory,
  until,
} from './harness.ts'

const LINES_EACH = 400
const WORDS_EACH = 25
/** The topic between splitting lines and counting words. */
const BETWEEN = 'words-by-word-repartition'
const PROGRAM = join('test', 'e2e', 'WordCount.java')

/** The program in a JVM of its own. */
class WordCount {
  readonly child: ChildProcess
  private readonly gone: Promise<unknown>
  private said = ''

  constructor(bootstrap: string, stateDir: string) {
    const env = { ...process.env, HEAP: '256m', JAVA_OPTS: '-XX:TieredStopAtLevel=1' }
    const args = ['run', PROGRAM, bootstrap, stateDir]
    this.child = adopt(spawn(KAFKA, args, { stdio: ['ignore', 'pipe', 'pipe'], env }))
    this.child.stdout!.on('data', (chunk: Buffer) => {
      this.said += chunk
    })
    this.child.stderr!.on('data', (chunk: Buffer) => {
      this.said += chunk
    })
    this.gone = once(this.child, 'exit')
  }

  output = () => this.said.split('\n').slice(-40).join('\n')

  get isRunning(): boolean {
    assert.equal(this.child.exitCode, null, `the program ended:\n${this.output()}`)
    return this.said.includes('RUNNING\n')
  }

  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    this.child.kill(signal)
    await this.gone
  }
}

/** The newest value of each key of a topic, as kcat reads it; `format` is kcat's for the value. */
async function newest(bootstrap: string, topic: string, format: string) {
  const args = ['-C', '-q', '-e', '-o', 'beginning', '-b', bootstrap, '-t', topic]
  const text = await runWell('kcat', [...args, '-s', `value=${format}`, '-f', '%k %s\n'])
  const values = new Map<string, number>()
  for (const line of text.toString().split('\n').slice(0, -1)) {
    const [key, value] = line.split(' ', 2)
    values.set(key!, Number(value))
  }
  return values
}

/** Lines of some words of one phase, and how often each word stands in them. */
function linesOf(phase: string): { lines: string[]; counts: Map<string, number> } {
  const counts = new Map<string, number>()
  const lines = Array.from({ length: LINES_EACH }, (_, i) => {
    const words = [i % WORDS_EACH, (i * 7) % WORDS_EACH, (i * i) % 5].map(n => `${phase}-${n}`)
    for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1)
    return words.join(' ')
  })
  return { lines, counts }
}

function kafkajs(bootstrap: string): Kafka {
  const retry = { retries: 60, initialRetryTime: 30, maxRetryTime: 300 }
  const limits = { connectionTimeout: 1000, requestTimeout: 10_000 }
  return new Kafka({ brokers: [bootstrap], retry, ...limits, logLevel: logLevel.NOTHING })
}

/** Sends lines in small batches with pauses, so that a death finds the program at work. */
async function trickle(producer: Producer, lines: readonly string[]): Promise<void> {
  for (let at = 0; at < lines.length; at += 10) {
    const messages = lines.slice(at, at + 10).map((value, i) => ({ key: `${at + i}`, value }))
    await producer.send({ topic: 'lines', acks: -1, messages })
    await pause(20)
  }
}

test('a Kafka Streams word count survives kill -9 of itself and of the broker', {
  skip: missing('kcat', 'kafka'),
}, async () => {
  const place = { port: await freePort(), dataDir: temporaryDirectory('streams') }
  const stateDir = temporaryDirectory('state')
  let broker = await startOttla(place)
  const { bootstrap } = broker
  const kafka = kafkajs(bootstrap)
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({
    topics: [
      { topic: 'lines', numPartitions: 3 },
      { topic: 'counts', numPartitions: 3 },
    ],
  })
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  const expected = new Map<string, number>()
  const expect = (counts: ReadonlyMap<string, number>) => {
    for (const [word, count] of counts) expected.set(word, (expected.get(word) ?? 0) + count)
  }
  const areCounted = async (words: Iterable<string>) => {
    const counts = await newest(bootstrap, 'counts', 's')
    return [...words].every(word => (counts.get(word) ?? 0) >= expected.get(word)!)
  }
  /** Whether all that stands in the topics that the program reads is committed. */
  const isCommitted = async () => {
    const topics = ['lines', BETWEEN]
    const ends = await Promise.all(topics.map(topic => admin.fetchTopicOffsets(topic)))
    const committed = await admin.fetchOffsets({ groupId: 'words', topics })
    return ends.every((partitions, i) => {
      const { topic, partitions: found } = committed[i]!
      assert.equal(topic, topics[i])
      const offsets = new Map(found.map(one => [one.partition, one.offset]))
      return partitions.every(
        ({ partition, high }) => high === '0' || offsets.get(partition) === high,
      )
    })
  }

  let program = new WordCount(bootstrap, stateDir)
  const waiting = { timeoutMs: 120_000, more: () => program.output() }
  const first = linesOf('first')
  const killed = linesOf('killed')
  const broken = linesOf('broken')
  try {
    await trickle(producer, first.lines)
    expect(first.counts)
    await until(() => program.isRunning && areCounted(first.counts.keys()), 'a count', waiting)
    await until(isCommitted, 'a commit of all', waiting)
    assert.deepEqual(await newest(bootstrap, 'counts', 's'), first.counts)

    // The program dies, and what it had on its disk with it.
    const writing = trickle(producer, killed.lines)
    await until(
      async () => (await newest(bootstrap, 'counts', 's')).has('killed-1'),
      'some',
      waiting,
    )
    await program.end('SIGKILL')
    rmSync(stateDir, { recursive: true })
    program = new WordCount(bootstrap, stateDir)
    await writing
    expect(killed.counts)
    await until(() => areCounted(killed.counts.keys()), 'a count after its death', waiting)

    // The broker dies.
    const writingOn = trickle(producer, broken.lines)
    await until(
      async () => (await newest(bootstrap, 'counts', 's')).has('broken-1'),
      'some',
      waiting,
    )
    await broker.kill9()
    broker = await startOttla(place)
    await writingOn
    expect(broken.counts)
    await until(() => areCounted(broken.counts.keys()), "a count after the broker's death", waiting)

    const again = [...first.counts.keys()]
    await trickle(producer, again)
    expect(new Map(again.map(word => [word, 1])))
    await until(() => areCounted(again), 'one more of each of the first words', waiting)
    await until(isCommitted, 'a commit of all at the end', waiting)
    await program.end('SIGTERM')
    const counts = await newest(bootstrap, 'counts', 's')
    for (const word of again) assert.equal(counts.get(word), expected.get(word), word)
    assert.deepEqual([...counts.keys()].sort(), [...expected.keys()].sort())
    assert.deepEqual(await newest(bootstrap, 'words-store-changelog', '>q'), counts)
    const between = await admin.fetchTopicOffsets(BETWEEN)
    assert.ok(
      between.some(({ low }) => Number(low) > 0),
      'Streams deletes what it has read of its repartition topic',
    )
  } finally {
    await program.end('SIGKILL')
    await producer.disconnect()
    await admin.disconnect()
    await broker.stop()
  }
})
