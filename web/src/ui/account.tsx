import { LogOut } from "lucide-react";
import { useLocation } from "wouter";
import { session } from "../api/client";
import type { User } from "../api/types";
import { chooseTheme, THEMES, theme } from "./theme";
import { useStore } from "./use-store";

/** Who is signed in, the theme, and the way out: in a popover that Escape and a click elsewhere close. */
export function Account({ user }: { user: User }) {
  const [, navigate] = useLocation();
  const logOut = async () => {
    await session.logout();
    navigate("/login", { replace: true });
  };
  return (
    <>
      <button
        type="button"
        className="avatar"
        popoverTarget="account"
        aria-label={`Account ${user.email}`}
      >
        {user.email.charAt(0).toUpperCase()}
      </button>
      <div id="account" popover="auto" className="menu">
        <p className="menu-who">
          <span className="quiet">Signed in as</span>
          <strong>{user.email}</strong>
        </p>
        <ThemeChoice />
        <button type="button" className="button" onClick={logOut}>
          <LogOut aria-hidden size={15} />
          Log out
        </button>
      </div>
    </>
  );
}

function ThemeChoice() {
  const chosen = useStore(theme);
  return (
    <fieldset className="segments">
      <legend>Theme</legend>
      <div>
        {THEMES.map((name) => (
          <label key={name}>
            <input
              type="radio"
              name="theme"
              checked={name === chosen}
              onChange={() => chooseTheme(name)}
            />
            <span>{name}</span>
          </label>
        ))}
      </div>
    </fieldset>
  );
}
