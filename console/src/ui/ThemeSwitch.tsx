import { useEffect, useState } from "react";
import { Select } from ".";

const NAME = "heartmap-console-theme";
type Theme = "system" | "light" | "dark";

function kept(): Theme {
  const value = localStorage.getItem(NAME);
  return value === "light" || value === "dark" ? value : "system";
}

/** Light, dark, or what the system says. */
export function ThemeSwitch() {
  const [theme, setTheme] = useState<Theme>(kept);
  useEffect(() => {
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    localStorage.setItem(NAME, theme);
  }, [theme]);
  return (
    <Select
      label="Theme"
      hideLabel
      value={theme}
      onChange={setTheme}
      options={[
        { value: "system", label: "System theme" },
        { value: "light", label: "Light" },
        { value: "dark", label: "Dark" },
      ]}
    />
  );
}
