-- Health of a ModelDeployment, for Argo CD (docs/install.md says how to install it).
-- It reads the three summary conditions that every kind of allod.dev has: Degraded, Progressing and Ready.
-- Ready stays True while a previous revision or the standby serves, so Degraded is asked first: a sync that was rolled back is not healthy.

local function health(status, message)
  return { status = status, message = message }
end

local function condition(kind)
  if obj.status ~= nil and obj.status.conditions ~= nil then
    for _, found in ipairs(obj.status.conditions) do
      if found.type == kind then
        return found
      end
    end
  end
  return { status = "Unknown", message = "" }
end

if obj.metadata.deletionTimestamp ~= nil then
  return health("Progressing", "is being deleted")
end

if obj.status == nil or obj.status.observedGeneration == nil or obj.status.observedGeneration < obj.metadata.generation then
  return health("Progressing", "the operator has not seen this change yet")
end

local degraded, progressing, ready = condition("Degraded"), condition("Progressing"), condition("Ready")

if degraded.status == "True" then
  return health("Degraded", degraded.message)
end

if obj.spec.suspend == true then
  return health("Suspended", "spec.suspend is true: the operator changes nothing about this model")
end

if obj.spec.replicas == 0 then
  return health("Suspended", "spec.replicas is 0: no pod, no GPU")
end

if progressing.status == "True" then
  return health("Progressing", progressing.message)
end

if ready.status == "True" then
  return health("Healthy", ready.message)
end

if ready.status == "False" then
  return health("Degraded", ready.message)
end

return health("Progressing", "the operator has not said yet whether it serves")
