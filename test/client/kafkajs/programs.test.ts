/**
 * Programs for kafkajs print the same after their import has been changed: each is run with kafkajs and with our package, on
 * a broker of its own, and what they print is compared line by line.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import kafkajs from 'kafkajs'
import { startBroker } from '../../../broker/embedded.ts'
import * as ottla from '../../../client/index.ts'
import { consumerPrograms } from './consumer-programs.ts'
import { type Program, programs } from './programs.ts'

type Package = typeof kafkajs

async function printed(program: Program, lib: Package): Promise<string[]> {
  const broker = await startBroker({ config: { 'auto.create.topics.enable': true } })
  try {
    const lines: string[] = []
    const kafka = new lib.Kafka({
      clientId: 'my-app',
      brokers: [broker.bootstrap],
      logLevel: lib.logLevel.NOTHING,
      retry: { initialRetryTime: 20 },
    })
    const show = (word: unknown) =>
      typeof word === 'string' ? word : inspect(word, { depth: 6, breakLength: 120, sorted: true })
    await program(kafka, (...words) => lines.push(words.map(show).join(' ')), lib)
    return lines
  } finally {
    await broker.stop()
  }
}

for (const [name, program] of Object.entries({ ...programs, ...consumerPrograms })) {
  test(`kafkajs's program '${name}' prints the same with our package`, async () => {
    process.env['KAFKAJS_NO_PARTITIONER_WARNING'] = '1'
    const theirs = await printed(program, kafkajs)
    const ours = await printed(program, ottla as unknown as Package)
    assert.deepEqual(ours, theirs)
    assert.ok(ours.length > 0)
  })
}
