/** Brings the keyboard, and the eye, to the first field that is wrong: in a long form it may be out of sight. */
export function focusWrong(form: HTMLElement): void {
  // When what is wrong has been drawn.
  requestAnimationFrame(() =>
    form.querySelector<HTMLElement>('[aria-invalid="true"], [data-wrong="true"] input')?.focus(),
  );
}
