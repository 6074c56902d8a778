/**
 * The scenarios of groups (test/scenarios) over the wire against a broker as it runs: its answers are those of the texts. Those in
 * which time passes are left to `test/scenarios/main.ts`, which also plays them against Apache Kafka.
 */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { WireStage } from '../scenarios/wire-stage.ts'
import { type Server, startOttla, subjectIsKafka } from './harness.ts'

const folder = join('test', 'scenarios')
/** What the texts take for granted. */
const overrides = {
  'group.consumer.assignment.interval.ms': '0',
  'group.consumer.max.size': '100',
  'group.initial.rebalance.delay.ms': '0',
  'group.max.session.timeout.ms': '60000',
  'group.max.size': '100',
  'group.min.session.timeout.ms': '1000',
  'offsets.topic.num.partitions': '2',
}

let server: Server

before(async () => {
  server = await startOttla({ overrides })
})

after(async () => {
  await server.stop()
})

const names = readdirSync(folder).filter(name => name.endsWith('.txt'))
for (const [i, name] of names.entries()) {
  const text = readFileSync(join(folder, name), 'utf8')
  if (/^> wait/m.test(text)) continue
  test(name.replace('.txt', '').replaceAll('-', ' '), async () => {
    const on = { port: server.port, groupId: `scenario-${i}-`, isKafka: subjectIsKafka, pace: 1 }
    for (const { line, expected, actual } of await WireStage.play(text, on)) {
      assert.deepEqual(actual, expected, `${name}: > ${line}`)
    }
  })
}
