/**
 * Plays the scenarios against a broker and prints where its answers differ from what the texts say.
 *
 *   node dist/test/scenarios/main.js PORT [--kafka] [part of a name ...]
 *
 * `--kafka`: the lines `# Kafka answers:` and `# Not against Kafka:` count. Time passes at a fifth of
 * what the texts say, so the broker must allow short sessions:
 *
 *   group.min.session.timeout.ms=200 group.max.session.timeout.ms=12000 group.max.size=100
 *   group.consumer.max.size=100 group.consumer.min.session.timeout.ms=200 group.consumer.session.timeout.ms=9000
 *   group.consumer.min.heartbeat.interval.ms=1 group.consumer.heartbeat.interval.ms=500
 *   group.consumer.assignment.interval.ms=0 group.initial.rebalance.delay.ms=0
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { WireStage } from './wire-stage.ts'

const PACE = 0.2
const [port = '', ...rest] = process.argv.slice(2)
const isKafka = rest.includes('--kafka')
const wanted = rest.filter(word => word !== '--kafka')
const folder = join('test', 'scenarios')

let differences = 0
const names = readdirSync(folder).filter(name => name.endsWith('.txt'))
for (const [i, name] of names.entries()) {
  if (wanted.length > 0 && !wanted.some(part => name.includes(part))) continue
  const text = readFileSync(join(folder, name), 'utf8')
  const groupId = `scenario-${i}-${process.pid}`
  const compared = await WireStage.play(text, {
    port: Number(port),
    groupId,
    isKafka,
    pace: PACE,
  })
  const different = compared.filter(one => one.expected.join('\n') !== one.actual.join('\n'))
  differences += different.length
  console.log(`${different.length === 0 ? '=' : '!'} ${name}: ${compared.length} steps`)
  for (const { line, expected, actual } of different) {
    console.log(`  > ${line}`)
    for (const one of expected) console.log(`    said ${one}`)
    for (const one of actual) console.log(`    now  ${one}`)
  }
}
console.log(`${differences} steps differ`)
process.exitCode = differences === 0 ? 0 : 1
