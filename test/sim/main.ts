/**
 * `npm run sim`: seeded runs of the store on the simulated disk, as many as wanted.
 *
 *   npm run sim                    1,000 new seeds
 *   npm run sim -- --seeds N       N new seeds
 *   npm run sim -- 4711            this seed, with everything it does
 *
 * Exit code 1 names the seeds that failed; they belong into test/sim/seeds.txt, which every run of the tests begins with.
 */
import { chooseSeed } from '../tiers.ts'
import { StoreRun } from './store-run.ts'

async function replay(seed: number): Promise<boolean> {
  const run = new StoreRun(seed)
  run.traceDisk()
  try {
    await run.go()
    console.log(`${run.trace.join('\n')}\nseed ${seed}: good`)
    return true
  } catch (error) {
    console.log(run.trace.join('\n'))
    console.error(`seed ${seed} failed:`, error)
    return false
  }
}

async function search(seeds: number): Promise<boolean> {
  const first = chooseSeed()
  console.log(`${seeds} seeds from ${first} on`)
  const failed: number[] = []
  for (let seed = first; seed < first + seeds; seed++) {
    try {
      await new StoreRun(seed).go()
    } catch (error) {
      failed.push(seed)
      console.error(`seed ${seed}: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  console.log(failed.length === 0 ? 'all good' : `${failed.length} failed: ${failed.join(' ')}`)
  return failed.length === 0
}

const [first, count] = process.argv.slice(2)
const isSearch = first === undefined || first === '--seeds'
const number = Number(isSearch ? (count ?? 1000) : first)
if (!Number.isSafeInteger(number) || number < 0) {
  console.error('usage: npm run sim -- [SEED | --seeds N]')
  process.exit(2)
}
process.exitCode = (await (isSearch ? search(number) : replay(number))) ? 0 : 1
