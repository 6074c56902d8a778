/** One life from a seed; a failure shows the last things that happened. */
import { StoreRun } from './store-run.ts'

const SHOWN_LINES = 30

export async function live(seed: number): Promise<void> {
  const life = new StoreRun(seed)
  try {
    await life.go()
  } catch (error) {
    const last = life.trace.slice(-SHOWN_LINES).join('\n')
    const advice = `'npm run sim -- ${seed}' shows all of it; the seed belongs into test/sim/seeds.txt`
    throw new Error(`seed ${seed}: ${advice}\n${last}`, { cause: error })
  }
}
