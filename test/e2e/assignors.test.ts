/** Our assignors and our key hash beside Kafka's own classes, on groups and keys made up anew for each run. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { murmur2 } from '../../client/partitioner.ts'
import { compareRacksWithKafka, compareWithKafka } from '../client/kafka-assignments.ts'
import { chooseSeed, tier } from '../tiers.ts'
import { KAFKA, missing, run, runWell, temporaryDirectory } from './harness.ts'

const noKafka = missing('kafka')
const SOURCE = join('test', 'client', 'AssignorRecorder.java')

/** Lines that the recorder writes. */
async function record(
  what: 'assignors' | 'racks' | 'murmur2',
  seed: number,
  count: number,
): Promise<string> {
  const classes = temporaryDirectory('recorder')
  const lib = (await runWell(KAFKA, ['fetch'])).toString().trim()
  await runWell('javac', ['-cp', `${lib}/*`, '-d', classes, SOURCE])
  const quiet = '-Dorg.apache.logging.log4j.level=OFF'
  const args = ['-Xmx300m', quiet, '-cp', `${classes}:${lib}/*`, 'AssignorRecorder', what]
  const { code, stdout, stderr } = await run('java', [...args, `${seed}`, `${count}`])
  assert.equal(code, 0, stderr)
  return stdout.toString()
}

test("made-up groups are shared out as by Kafka's classes", { skip: noKafka }, async () => {
  const seed = chooseSeed()
  const count = tier.records
  const compared = compareWithKafka(await record('assignors', seed, count))
  console.log(`${count} groups, seed ${seed}: ${compared} answers are the same`)
  assert.ok(compared > count * 3.9)
})

test("groups in racks are shared out as by Kafka's RangeAssignor", { skip: noKafka }, async () => {
  const seed = chooseSeed()
  const count = tier.records
  const different = compareRacksWithKafka(await record('racks', seed, count))
  console.log(`${count} groups in racks, seed ${seed}: the same; racks mattered in ${different}`)
  assert.ok(different > count / 4)
})

test("made-up keys hash as by Kafka's class", { skip: noKafka }, async () => {
  for (const line of (await record('murmur2', chooseSeed(), tier.records)).trim().split('\n')) {
    const [key, hash] = JSON.parse(line) as [string, number]
    assert.equal(murmur2(Buffer.from(key, 'hex')), hash, key)
  }
})
