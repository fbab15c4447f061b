/** The browser's local storage; where it is refused, memory that lasts as long as the page. */

export interface TextStore {
  getItem(key: string): string | null;
  setItem(key: string, text: string): void;
  removeItem(key: string): void;
  keys(): string[];
}

export const storage: TextStore = isAllowed() ? local() : memory();

/** Whether the browser lets this page keep texts: some refuse with an error. */
function isAllowed(): boolean {
  try {
    return localStorage.length >= 0;
  } catch {
    return false;
  }
}

/** Keep a choice of the user; what cannot be kept lasts as long as the page. */
export function remember(key: string, choice: string): void {
  try {
    storage.setItem(key, choice);
  } catch {
    // The browser keeps no more for this site.
  }
}

function local(): TextStore {
  return {
    getItem: (key) => localStorage.getItem(key),
    setItem: (key, text) => localStorage.setItem(key, text),
    removeItem: (key) => localStorage.removeItem(key),
    keys: () => Object.keys(localStorage),
  };
}

function memory(): TextStore {
  const texts = new Map<string, string>();
  return {
    getItem: (key) => texts.get(key) ?? null,
    setItem: (key, text) => void texts.set(key, text),
    removeItem: (key) => void texts.delete(key),
    keys: () => [...texts.keys()],
  };
}
