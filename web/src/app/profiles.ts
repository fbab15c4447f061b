/** Profiles in this browser's own storage; a lock keeps two tabs from losing anything. */

import { type ModelCard, Profile, ProfileError, type Report } from "../espressivo";

const PREFIX = "espressivo.profile/";

/** The speakers who have a profile here, sorted. */
export function names(): string[] {
  return Object.keys(localStorage)
    .filter((key) => key.startsWith(PREFIX))
    .map((key) => key.slice(PREFIX.length))
    .sort((a, b) => a.localeCompare(b));
}

/** @throws ProfileError There is none, or it is damaged. */
export async function load(speaker: string): Promise<Profile> {
  const text = localStorage.getItem(PREFIX + speaker);
  if (text === null)
    throw new ProfileError(`there is no profile '${speaker}' here any more`);
  return Profile.parse(text, speaker);
}

/** @throws ProfileError There is one already, or the name will not do. */
export function create(speaker: string, card: ModelCard): Promise<void> {
  return add(Profile.create(speaker, card));
}

/** Take in a profile's file, and return whose it is. */
export async function take(file: File): Promise<string> {
  const profile = await Profile.parse(await file.text(), file.name);
  await add(profile);
  return profile.speaker;
}

/** Add what was heard to a profile. */
export async function learn(speaker: string, report: Report): Promise<void> {
  await alone(async () => store((await load(speaker)).merged(report)));
}

export function remove(speaker: string): void {
  localStorage.removeItem(PREFIX + speaker);
}

function add(profile: Profile): Promise<void> {
  return alone(async () => {
    if (names().includes(profile.speaker)) {
      throw new ProfileError(
        `there is a profile '${profile.speaker}' already; delete it first`,
      );
    }
    await store(profile);
  });
}

async function store(profile: Profile): Promise<void> {
  try {
    localStorage.setItem(PREFIX + profile.speaker, await profile.toJson());
  } catch (error) {
    throw new ProfileError(
      `the browser keeps nothing for this page (${(error as Error).name})`,
    );
  }
}

/** Do something while no other tab changes profiles. */
async function alone<T>(work: () => Promise<T>): Promise<T> {
  return navigator.locks ? await navigator.locks.request(PREFIX, work) : await work();
}
