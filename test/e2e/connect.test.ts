/**
 * A Kafka Connect worker in distributed mode: lines of one file through a topic into another file, on through the deaths
 * of the worker and of the broker.
 *
 * Everything that a worker knows is in Kafka: the connectors' settings, their offsets and states in three compacted
 * topics, who works in a group. So each line must reach the other file: once while nothing dies, at least once and in
 * order otherwise.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, existsSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import {
  adopt,
  freePort,
  KAFKA,
  missing,
  pause,
  startOttla,
  temporaryDirectory,
  until,
} from './harness.ts'

const LINES = 500

/** The worker's process, and its REST interface. */
class Worker {
  private readonly child: ChildProcess
  private readonly gone: Promise<unknown>
  private readonly url: string
  private readonly log: string

  constructor(bootstrap: string, port: number, directory: string) {
    this.url = `http://127.0.0.1:${port}`
    this.log = join(directory, 'output.txt')
    const settings: Record<string, string> = {
      'bootstrap.servers': bootstrap,
      'group.id': 'workers',
      listeners: this.url,
      'key.converter': 'org.apache.kafka.connect.storage.StringConverter',
      'value.converter': 'org.apache.kafka.connect.storage.StringConverter',
      'offset.flush.interval.ms': '500',
      'session.timeout.ms': '6000',
      'heartbeat.interval.ms': '500',
      'scheduled.rebalance.max.delay.ms': '0',
      'consumer.session.timeout.ms': '6000',
      'consumer.heartbeat.interval.ms': '500',
      'consumer.metadata.max.age.ms': '1000',
    }
    for (const kind of ['config', 'offset', 'status']) {
      settings[`${kind}.storage.topic`] = `connect-${kind}s`
      settings[`${kind}.storage.replication.factor`] = '1'
    }
    const file = join(directory, 'worker.properties')
    const lines = Object.entries(settings).map(([name, value]) => `${name}=${value}\n`)
    writeFileSync(file, lines.join(''))
    const env = { ...process.env, HEAP: '256m', JAVA_OPTS: '-XX:TieredStopAtLevel=1' }
    const args = ['run', 'org.apache.kafka.connect.cli.ConnectDistributed', file]
    const out = openSync(this.log, 'a')
    this.child = adopt(spawn(KAFKA, args, { stdio: ['ignore', out, out], env }))
    this.gone = once(this.child, 'exit')
  }

  output = () => readFileSync(this.log, 'utf8').split('\n').slice(-40).join('\n')

  /** What it answers, or null while it does not answer or refuses, as during a rebalance. */
  async ask(method: string, path: string, body?: object): Promise<unknown> {
    assert.equal(this.child.exitCode, null, `the worker ended:\n${this.output()}`)
    const headers = { 'content-type': 'application/json' }
    const request = {
      method,
      headers,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    }
    try {
      const response = await fetch(`${this.url}${path}`, {
        ...request,
        signal: AbortSignal.timeout(10_000),
      })
      return response.ok ? await response.json() : null
    } catch {
      return null
    }
  }

  /** Whether the connector and its only task run. */
  async isRunning(connector: string): Promise<boolean> {
    const status = (await this.ask('GET', `/connectors/${connector}/status`)) as {
      connector: { state: string }
      tasks: { state: string; trace?: string }[]
    } | null
    const failed = status?.tasks.find(({ state }) => state === 'FAILED')
    assert.equal(failed, undefined, failed?.trace)
    return status?.connector.state === 'RUNNING' && status.tasks[0]?.state === 'RUNNING'
  }

  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    this.child.kill(signal)
    await this.gone
  }
}

const linesOf = (phase: string): string[] =>
  Array.from({ length: LINES }, (_, i) => `${phase} line ${i}`)

test('a Kafka Connect worker survives kill -9 of itself and of the broker', {
  skip: missing('kafka'),
}, async () => {
  const place = { port: await freePort(), dataDir: temporaryDirectory('connect') }
  const directory = temporaryDirectory('worker')
  const [from, to] = [join(directory, 'from.txt'), join(directory, 'to.txt')]
  const port = await freePort()
  let broker = await startOttla(place)
  let worker = new Worker(broker.bootstrap, port, directory)
  const waiting = { timeoutMs: 120_000, more: () => worker.output() }
  const arrived = () => (existsSync(to) ? readFileSync(to, 'utf8').split('\n').slice(0, -1) : [])
  const append = (lines: readonly string[]) => appendFileSync(from, `${lines.join('\n')}\n`)
  const trickle = async (lines: readonly string[]) => {
    for (let at = 0; at < LINES; at += 25) {
      append(lines.slice(at, at + 25))
      await pause(100)
    }
  }
  const hasArrived = (line: string) => arrived().includes(line)
  const create = async (name: string, kind: string, config: object) => {
    const whole = { 'connector.class': `org.apache.kafka.connect.file.FileStream${kind}Connector` }
    const body = { ...whole, 'tasks.max': '1', ...config }
    const path = `/connectors/${name}/config`
    await until(async () => (await worker.ask('PUT', path, body)) !== null, `${name} made`, waiting)
    await until(() => worker.isRunning(name), `${name} at work`, waiting)
  }
  const areRunning = async () =>
    (await worker.isRunning('reads')) && (await worker.isRunning('writes'))
  try {
    const phases = ['first', 'killed', 'broken', 'last'].map(linesOf) as [string[], ...string[][]]
    const [first, killed, broken, last] = phases as [string[], string[], string[], string[]]
    append(first)
    await create('reads', 'Source', { file: from, topic: 'through' })
    await create('writes', 'Sink', { file: to, topics: 'through' })
    await until(() => arrived().length >= LINES, 'the first lines', waiting)
    assert.deepEqual(arrived(), first)

    let writing = trickle(killed)
    await until(() => hasArrived(killed[0]!), 'the first line before its death', waiting)
    await worker.end('SIGKILL')
    worker = new Worker(broker.bootstrap, port, directory)
    await until(areRunning, 'both at work after its death', waiting)
    await until(() => hasArrived(killed.at(-1)!), 'the lines around its death', waiting)

    await writing
    writing = trickle(broken)
    await until(() => hasArrived(broken[0]!), "the first line before the broker's death", waiting)
    await broker.kill9()
    broker = await startOttla(place)
    await until(() => hasArrived(broken.at(-1)!), "the lines around the broker's death", waiting)

    await writing
    append(last)
    await until(() => hasArrived(last.at(-1)!), 'the last lines', waiting)
    await until(areRunning, 'both still at work', waiting)
    await worker.end('SIGTERM')
    const lines = arrived()
    const inOrder = phases.flat()
    assert.deepEqual([...new Set(lines)], inOrder, 'every line, in the order of their first time')
    // What comes again is a run of lines that had come before, in their order.
    const places = lines.map(line => inOrder.indexOf(line))
    for (const [i, at] of places.entries()) {
      assert.ok(i === 0 || at <= places[i - 1]! + 1, `${lines[i]} after ${lines[i - 1]}`)
    }
  } finally {
    await worker.end('SIGKILL')
    await broker.stop()
  }
})
