"""Resolution: a CrewAI crew. Usage adds up on its models, so every job gets a fresh crew with a fresh one."""

from crewai import LLM, Agent, Crew, Task
from models import BASE_URL, MODEL


def make_crew() -> Crew:
    llm = LLM(model=f"openai/{MODEL}", base_url=BASE_URL, max_retries=0, timeout=60)
    solver = Agent(role="support engineer", goal="solve tickets", backstory="You know the product.", llm=llm)
    task = Task(description="{instructions}\n\n{data}", expected_output="what is asked for", agent=solver)
    return Crew(agents=[solver], tasks=[task])
